"""
Tests for L{txsslstream}.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# What the tests fetch is no business of the user's cache.
_cache = tempfile.mkdtemp(prefix="txsslstream-tests-")
os.environ["XDG_CACHE_HOME"] = _cache
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
