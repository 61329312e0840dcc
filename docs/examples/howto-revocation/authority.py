"""
Stands in for an authority of certificates: issues some, revokes them, and
publishes what it has revoked, as crl.pem and as index.txt for openssl ocsp.

    python authority.py issue
    python authority.py revoke bob
"""

import datetime
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
RESPONDER = "http://127.0.0.1:8080/"
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Authority")])
PEM = serialization.Encoding.PEM


def write(path, certificates, key):
    Path(path).write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + b"".join(each.public_bytes(PEM) for each in certificates)
    )


def builder(subject, key):
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 30 * DAY)
    )


def makeAuthority():
    key = ec.generate_private_key(ec.SECP256R1())
    root = builder(NAME, key).add_extension(x509.BasicConstraints(True, None), True)
    certificate = root.sign(key, hashes.SHA256())
    write("ca-private.pem", [certificate], key)
    Path("ca.pem").write_bytes(certificate.public_bytes(PEM))
    return certificate, key


def issue(name, identity, authority, authorityKey):
    key = ec.generate_private_key(ec.SECP256R1())
    responder = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(RESPONDER)
    )
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        .add_extension(x509.SubjectAlternativeName([identity]), False)
        .add_extension(x509.AuthorityInformationAccess([responder]), False)
        .sign(authorityKey, hashes.SHA256())
    )
    # With its issuer, whom a server needs to ask for its staple.
    write(f"{name}.pem", [certificate, authority], key)
    ends = f"{certificate.not_valid_after_utc:%y%m%d%H%M%SZ}"
    return f"V\t{ends}\t\t{certificate.serial_number:040X}\tunknown\t/CN={name}\n"


def publish(index):
    """
    Write the list of what is revoked.
    """
    authority = x509.load_pem_x509_certificate(Path("ca.pem").read_bytes())
    key = serialization.load_pem_private_key(Path("ca-private.pem").read_bytes(), None)
    revoked = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
    revoked = revoked.last_update(NOW).next_update(NOW + DAY)
    for line in index.splitlines():
        status, _, _, serial, *_ = line.split("\t")
        if status == "R":
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
            revoked = revoked.add_revoked_certificate(entry.revocation_date(NOW).build())
    Path("crl.pem").write_bytes(revoked.sign(key, hashes.SHA256()).public_bytes(PEM))
    Path("index.txt").write_text(index)


def main(command, *names):
    os.umask(0o077)
    if command == "issue":
        authority = makeAuthority()
        index = ""
        for name in ("site", "oldsite"):
            index += issue(name, x509.DNSName("localhost"), *authority)
        for name in ("alice", "bob"):
            index += issue(name, x509.RFC822Name(f"{name}@example.com"), *authority)
    else:
        index = Path("index.txt").read_text()
        for line in index.splitlines():
            fields = line.split("\t")
            if fields[5].removeprefix("/CN=") in names:
                fields[0], fields[2] = "R", f"{NOW:%y%m%d%H%M%SZ}"
                index = index.replace(line, "\t".join(fields))
    publish(index)


main(*sys.argv[1:])
