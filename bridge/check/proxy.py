"""Which proxy stands before the inlet and the token endpoint, who says so, and whether it takes connections."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping

import httpx

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.config.settings import AepSettings
from bridge.http.connection import Proxy, proxy_for


def proxies(aep: AepSettings, what: str, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """A finding for the inlet, and one for the token endpoint where that goes another way. Shows no password."""
    urls = {"inlet": aep.batch_url} | ({"token endpoint": aep.auth.token_url} if aep.auth is not None else {})
    ways: dict[str, tuple[list[str], Finding]] = {}
    for name, url in urls.items():
        address = httpx.URL(url)
        port = address.port or (443 if address.scheme == "https" else 80)
        source = _source(aep, address.scheme, environ)
        try:
            proxy = proxy_for((address.scheme, address.raw_host.decode(), port), aep.proxy())
        except (httpx.ProxyError, OSError, ValueError) as problem:
            yield Finding(Level.FAIL, f"proxy of {what}", f"{source}: {problem}", f"correct {source}")
            return
        finding = _judged(proxy, source, address.host)
        ways.setdefault(finding.found, ([], finding))[0].append(name)
    for names, finding in ways.values():
        which = "" if len(ways) == 1 else f" ({names[0]})"
        yield Finding(
            finding.level, f"proxy of {what}{which}", finding.found, finding.do, finding.unreachable
        )


def _source(aep: AepSettings, scheme: str, environ: Mapping[str, str]) -> str:
    """Who decides: the setting, or the variable, in the order of Python's own look-up (the small letters win); empty where nobody does."""
    if aep.proxy_url_file is not None:
        return "aep.proxy_url_file"
    if aep.proxy_url is not None:
        return "aep.proxy_url"
    names = [spelt for name in (f"{scheme}_proxy", "all_proxy") for spelt in (name, name.upper())]
    return next((name for name in names if environ.get(name)), "")


def _judged(proxy: Proxy | None, source: str, host: str) -> Finding:
    if proxy is None:
        if not source:
            return Finding(
                Level.OK, "", "none: neither aep.proxy_url nor HTTPS_PROXY is set; connects directly"
            )
        why = f"{source} is empty" if source.startswith("aep.") else f"NO_PROXY takes {host} out of {source}"
        return Finding(Level.OK, "", f"none: {why}; connects directly")
    shown = f"{proxy.host}:{proxy.port}, by {source}" + (", with a password" if proxy.authorization else "")
    try:
        with socket.create_connection((proxy.host, proxy.port), TIMEOUT_S):
            return Finding(Level.OK, "", f"{shown}: takes connections")
    except OSError as problem:
        do = f"correct {source}" + (
            ""
            if source.startswith("aep.")
            else f", name {host} in NO_PROXY, or set aep.proxy_url (empty for none)"
        )
        return Finding(Level.FAIL, "", f"{shown}: {problem.strerror or problem}", do, unreachable=True)
