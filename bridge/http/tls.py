"""TLS's files: which authorities to trust, and the client certificate to show."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import httpx


@dataclass(frozen=True, slots=True)
class Tls:
    """The files are read again when they change, so that the next connection uses a rotated certificate."""

    ca_file: str | None = None
    """Trusted instead of the public authorities: `SSL_CERT_FILE`'s, `SSL_CERT_DIR`'s or certifi's."""
    cert_file: str | None = None
    key_file: str | None = None
    """Left out when `cert_file` holds the key too."""

    def context(self) -> ssl.SSLContext:
        """Raises OSError or ssl.SSLError when a file can't be read or is not what it should be."""
        files = [Path(file) for file in (self.ca_file, self.cert_file, self.key_file) if file]
        return _context(self, tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(maxsize=32)
def _context(tls: Tls, _modified_ns: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file) if tls.ca_file else httpx.create_ssl_context()
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
