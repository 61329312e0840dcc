"""
What the tests of chains have in common.
"""

from __future__ import annotations

from txsslstream.chainchecks import Criteria
from txsslstream.testing import NOW

#: What a path has to meet unless more is asked for.
NOTHING_MORE = Criteria(time=NOW)
