"""Which HTTP proxy a connection goes through: a configured one, the environment's, or none."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx

from bridge.http.origin import Origin, authority


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    authorization: bytes
    """The value of `Proxy-Authorization`, which holds the password; empty without one."""

    def __repr__(self) -> str:
        return f"Proxy({self.authority})"

    @property
    def authority(self) -> str:
        """`host:port`."""
        return authority(self.host, self.port)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Raises ValueError. Its text does not repeat the URL, which may hold a password."""
        try:
            parts = httpx.URL(url if "://" in url else f"http://{url}")
        except httpx.InvalidURL:
            parts = httpx.URL("")
        if parts.scheme != "http" or not parts.host:
            msg = (
                "a proxy is given as http://[user:password@]host:port; other kinds of proxy are not supported"
            )
            raise ValueError(msg)
        authorization = b""
        if parts.userinfo:
            authorization = b"Basic " + b64encode(f"{parts.username}:{parts.password}".encode())
        return cls(parts.raw_host.decode(), parts.port or 80, authorization)


def proxy_for(origin: Origin, configured: str | None) -> Proxy | None:
    """Return the proxy to use: the configured URL's ("" for none), or the environment's where that is None.

    Raises httpx.ProxyError for a URL that is not one of a proxy.
    """
    url = _environment_proxy(origin) if configured is None else configured
    try:
        return Proxy.parse(url) if url else None
    except ValueError as error:
        raise httpx.ProxyError(str(error)) from None


def _environment_proxy(origin: Origin) -> str:
    """Return the URL of `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`; "" if `NO_PROXY` excludes the host."""
    proxies = getproxies()
    url = proxies.get(origin.scheme) or proxies.get("all") or ""
    if url and (proxy_bypass(origin.host) or proxy_bypass(f"{origin.host}:{origin.port}")):
        return ""
    return url
