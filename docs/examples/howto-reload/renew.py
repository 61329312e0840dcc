"""
Put a new certificate in the place of site.pem, as an ACME client does.
"""

import os
import sys
from pathlib import Path

import trustme

os.umask(0o077)
unit = sys.argv[1] if len(sys.argv) > 1 else "renewed"
authority = Path("reload-authority.pem")
if not authority.exists():
    made = trustme.CA()
    authority.write_bytes(made.private_key_pem.bytes() + made.cert_pem.bytes())
blob = authority.read_bytes()
certificate = trustme.CA.from_pem(blob, blob).issue_cert(
    "localhost", common_name="site", organization_name="Example", organization_unit_name=unit
)
new = Path("site.pem.new")
new.write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
# In one step: nobody ever sees half a file.
new.replace("site.pem")
