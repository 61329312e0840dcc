"""
Make clients.db: which certificates, by their SHA-256, are whose, and whether
they may come in.
"""

import sqlite3
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

with sqlite3.connect("clients.db") as connection:
    connection.execute("CREATE TABLE clients (fingerprint TEXT PRIMARY KEY, name TEXT, isActive)")
    for name, isActive in (("alice", True), ("bob", False)):
        certificate = x509.load_pem_x509_certificate(Path(f"{name}.pem").read_bytes())
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        connection.execute("INSERT INTO clients VALUES (?, ?, ?)", (fingerprint, name, isActive))
print("Made clients.db.")
