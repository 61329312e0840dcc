"""
What the tests have in common: certificates, and options that accept them.
"""

from __future__ import annotations

from txsslstream.testing import sharedAuthority

AUTHORITY = sharedAuthority()
SERVER = AUTHORITY.serverCertificate
CLIENT = AUTHORITY.clientCertificate

#: Options that accept L{SERVER}, with changes.
clientOptions = AUTHORITY.clientOptions
#: Options that present L{SERVER} and trust L{AUTHORITY}, with changes.
serverOptions = AUTHORITY.serverOptions
