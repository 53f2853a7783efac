"""Which proxy stands before the inlet and the token endpoint, which setting says so, and
whether it takes connections.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace

import httpx

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.config.settings_aep import AepSettings
from bridge.http.origin import Origin
from bridge.http.proxy import Proxy, proxy_for


def check_proxies(
    aep: AepSettings, subject: str, environ: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Check the inlet's proxy, and the token endpoint's where that has another one. Shows no password."""
    urls = {"inlet": aep.batch_url}
    if aep.auth is not None:
        urls["token endpoint"] = aep.auth.token_url
    findings: dict[str, tuple[str, Finding]] = {}
    for endpoint, url in urls.items():
        finding = _check(aep, httpx.URL(url), environ)
        if finding.level is Level.FAIL and not finding.unreachable:  # the setting itself is wrong
            yield replace(finding, subject=f"proxy of {subject}")
            return
        findings.setdefault(finding.text, (endpoint, finding))
    for endpoint, finding in findings.values():
        which = f" ({endpoint})" if len(findings) > 1 else ""
        yield replace(finding, subject=f"proxy of {subject}{which}")


def _check(aep: AepSettings, url: httpx.URL, environ: Mapping[str, str]) -> Finding:
    """Check the proxy for one URL. The finding has no subject yet: two URLs may have the same one."""
    setting = _deciding_setting(aep, url.scheme, environ)
    try:
        proxy = proxy_for(Origin.of(url), aep.proxy())
    except (httpx.ProxyError, OSError, ValueError) as problem:
        return Finding(Level.FAIL, "", f"{setting}: {problem}", f"correct {setting}")
    if proxy is None:
        return Finding(Level.OK, "", f"none: {_why_none(setting, url.host)}; connects directly")
    return _connect(proxy, setting, url.host)


def _deciding_setting(aep: AepSettings, scheme: str, environ: Mapping[str, str]) -> str:
    """Return the setting or the variable that decides; empty if there is none.

    Of the variables, that is the first which Python's own look-up takes: the name in small letters wins.
    """
    if aep.proxy_url_file is not None:
        return "aep.proxy_url_file"
    if aep.proxy_url is not None:
        return "aep.proxy_url"
    small = (f"{scheme}_proxy", "all_proxy")
    names = [spelling for name in small for spelling in (name, name.upper())]
    return next((name for name in names if environ.get(name)), "")


def _why_none(setting: str, host: str) -> str:
    if not setting:
        return "neither aep.proxy_url nor HTTPS_PROXY is set"
    if setting.startswith("aep."):
        return f"{setting} is empty"
    return f"NO_PROXY takes {host} out of {setting}"


def _connect(proxy: Proxy, setting: str, host: str) -> Finding:
    address = f"{proxy.host}:{proxy.port}, by {setting}"
    text = f"{address}, with a password" if proxy.authorization else address
    try:
        with socket.create_connection((proxy.host, proxy.port), TIMEOUT_S):
            return Finding(Level.OK, "", f"{text}: takes connections")
    except OSError as problem:
        next_step = f"correct {setting}"
        if not setting.startswith("aep."):
            next_step += f", name {host} in NO_PROXY, or set aep.proxy_url (empty for none)"
        error = problem.strerror or problem
        return Finding(Level.FAIL, "", f"{text}: {error}", next_step, unreachable=True)
