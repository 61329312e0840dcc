"""
Make the certificates of somebody with two employers: work.pem and club.pem, and
the authorities that have issued them.
"""

import os

import trustme

os.umask(0o077)
for name in ("work", "club"):
    authority = trustme.CA(organization_name=name, organization_unit_name="Authority")
    authority.cert_pem.write_to_path(f"{name}-authority.pem")
    certificate = authority.issue_cert(
        f"alice@{name}.example",
        common_name="alice",
        organization_name=name,
        organization_unit_name="People",
    )
    certificate.private_key_and_cert_chain_pem.write_to_path(f"{name}.pem")
print("Made work.pem and club.pem.")
