"""
Make what the examples need, in the working directory: an authority and the
certificates that it has issued, each with its private key.
"""

import os

import trustme


def issue(authority, name, identity):
    certificate = authority.issue_cert(
        identity, common_name=name, organization_name="Example", organization_unit_name="Tutorial"
    )
    certificate.private_key_and_cert_chain_pem.write_to_path(f"{name}.pem")


os.umask(0o077)
authority = trustme.CA(organization_name="Example", organization_unit_name="Authority")
authority.cert_pem.write_to_path("authority.pem")
issue(authority, "server", "localhost")
issue(authority, "alice", "alice@example.com")
issue(authority, "bob", "bob@example.com")

stranger = trustme.CA(organization_name="Strangers", organization_unit_name="Authority")
issue(stranger, "mallory", "alice@example.com")
print("Made authority.pem, server.pem, alice.pem, bob.pem and mallory.pem.")
