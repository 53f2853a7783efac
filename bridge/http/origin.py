"""Where a connection leads: scheme, host and port."""

from __future__ import annotations

from typing import NamedTuple

import httpx


class Origin(NamedTuple):
    """What must be the same for two requests to share a connection."""

    scheme: str
    host: str
    """As it goes over the wire: a name of other than ASCII characters is encoded (IDNA)."""
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        """Return the URL's origin; without a port in the URL, the scheme's."""
        default_port = 443 if url.scheme == "https" else 80
        return cls(url.scheme, url.raw_host.decode(), url.port or default_port)

    @property
    def authority(self) -> str:
        """`host:port`."""
        return authority(self.host, self.port)


def authority(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
