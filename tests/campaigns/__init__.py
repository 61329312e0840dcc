"""
Campaigns: other people's programs against our servers, on demand.

Each is a program, C{python -m tests.campaigns.NAME --results DIRECTORY}, that
starts what it attacks, writes what came of it as JSON, and exits with 0 if that
is what was expected, with 1 if not, and with 3 if what it needs cannot be had.
C{--short} is for every change: seconds, and a sample of it all.
L{tests.campaigns.report} makes a page of the results.
"""
