"""
What is fed with anything at all, and may answer with nothing but what is
documented, in bounded time and memory.

L{tests.fuzzing.targets} has the targets.  F{corpus/} keeps inputs for each: one
of every kind that has been found, and each that has ever shown a defect.
L{tests.test_fuzzing} tries all of those; C{python -m tests.campaigns.fuzz} makes
millions of others out of them.
"""
