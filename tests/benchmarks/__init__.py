"""
How fast the package is, compared with others: see C{docs/performance.md}.
"""
