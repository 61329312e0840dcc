"""
A ledger: whoever has a certificate of ours adds to an account and asks for its
balance.  Everything is typed, and passes C{mypy --strict}.
"""
