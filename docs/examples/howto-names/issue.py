"""
Make a directory of certificates, each for other names.
"""

import os
from pathlib import Path

import trustme

os.umask(0o077)
authority = trustme.CA(organization_name="Example", organization_unit_name="Authority")
authority.cert_pem.write_to_path("names-authority.pem")
Path("sites").mkdir(exist_ok=True)
for name, hosts in (
    ("www", ["www.example.com", "example.com"]),
    ("shops", ["*.shop.example.com"]),
    ("books", ["b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"]),
):
    certificate = authority.issue_cert(
        *hosts, common_name=name, organization_name="Example", organization_unit_name="Sites"
    )
    certificate.private_key_and_cert_chain_pem.write_to_path(f"sites/{name}.pem")
print("Made sites/www.pem, sites/shops.pem and sites/books.pem.")
