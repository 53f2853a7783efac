"""The certificates of a Kafka for tests: good ones for broker and client, and bad ones for the broker."""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


def write_certificates(directory: Path, ca_file: Path) -> None:
    """Write the authority's certificate, and a file NAME.pem with key and chain for each of the others."""
    authority = trustme.CA()
    long_ago, names = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC), ("127.0.0.1", "localhost")
    next_day = long_ago + datetime.timedelta(days=1)
    certificates = {
        "server": authority.issue_cert(*names),
        "elsewhere": authority.issue_cert("elsewhere.example"),
        "expired": authority.issue_cert(*names, not_before=long_ago, not_after=next_day),
        "client": authority.issue_cert("bridge@example.com"),
    }
    for name, certificate in certificates.items():
        (directory / f"{name}.pem").write_bytes(_key_and_chain(certificate))
    authority.cert_pem.write_to_path(str(ca_file))


def _key_and_chain(certificate: trustme.LeafCert) -> bytes:
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    # The broker reads PKCS #8 only, and trustme writes another format.
    pkcs_8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join([pkcs_8, *(part.bytes() for part in certificate.cert_chain_pems)])
