"""Inlets: the proxy on the way, the token, and an answer to a batch without messages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.check.proxy import proxies
from bridge.config.settings import AepSettings, Settings
from bridge.http.connection import HttpConnection, Tls
from bridge.http.oauth import TokenError, TokenSource

SKEW_S = 60.0


def findings(settings: Settings) -> Iterator[Finding]:
    """Each different inlet once."""
    for aep in {aep.identity: aep for aep in map(settings.inlet_for, settings.topics)}.values():
        yield from _inlet(aep)


def _inlet(aep: AepSettings) -> Iterator[Finding]:
    what = f"inlet {aep.inlet_id[:12]}"
    try:
        tls = Tls(
            *(
                None if path is None else str(path)
                for path in (aep.ca_file, aep.client_cert_file, aep.client_key_file)
            )
        )
        transport = HttpConnection(tls=tls, proxy=aep.proxy())
        headers = aep.header_values()
    except (OSError, ValueError) as problem:
        yield Finding(
            Level.FAIL,
            what,
            str(problem),
            "check ca_file, client_cert_file, client_key_file, proxy_url and the headers' files",
        )
        return
    for finding in proxies(aep, what):
        yield finding
        if finding.level is Level.FAIL:
            return
    with httpx.Client(transport=transport, trust_env=False) as client:
        if aep.auth is not None:
            auth = aep.auth
            source = TokenSource(
                url=auth.token_url,
                client_id=auth.client_id,
                secret=auth.secret,
                scope=auth.scope,
                client=client,
            )
            try:
                headers["authorization"] = f"Bearer {source.bearer(time.monotonic() + TIMEOUT_S)}"
            except TokenError as problem:
                do = "check aep.auth: token_url, client_id, the secret and the scope"
                yield Finding(Level.FAIL, f"token for {what}", str(problem), do)
                return
            left = source.expires_in_s or 0.0
            yield Finding(Level.OK, f"token for {what}", f"got one; it expires in {left / 3600:.1f} h")
        yield from _asked(client, aep, headers, what)


def _clock(date: str, host: str) -> Finding:
    """The clock of this machine against the `Date` of an answer, which is GMT whether it says so or not."""
    try:
        told = parsedate_to_datetime(date)
        skew = time.time() - (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return Finding(
            Level.WARN,
            "clock",
            f"can't be told: {host} sends {f'the Date {date[:40]!r}' if date else 'no Date'}",
        )
    far = abs(skew) > SKEW_S
    do = "synchronise this machine's clock: tokens and Retry-After dates depend on it" if far else ""
    return Finding(Level.WARN if far else Level.OK, "clock", f"{skew:+.0f} s against {host}", do)


def _asked(client: httpx.Client, aep: AepSettings, headers: dict[str, str], what: str) -> Iterator[Finding]:
    """Sends a batch without messages, which no AEP takes for data."""
    host = httpx.URL(aep.batch_url).host
    try:
        limits = {"deadline": time.monotonic() + TIMEOUT_S, "max_response_bytes": 1_000_000}
        answer = client.post(
            aep.batch_url,
            headers=headers | {"content-type": "application/json"},
            content=b'{"messages":[]}',
            extensions=limits,
        )
    except httpx.HTTPError as problem:
        yield Finding(
            Level.FAIL,
            what,
            f"{host}: {problem}",
            "check aep.inlet_url, DNS, egress rules, ca_file and the proxy",
            unreachable=True,
        )
        return
    yield _clock(answer.headers.get("date", ""), host)
    status = answer.status_code
    if status in (401, 403):
        do = "check aep.auth, the inlet's authentication setting, and IP allow-lists"
        yield Finding(Level.FAIL, what, f"{host} answers {status}", do)
    elif status == 404 or 300 <= status < 400 or status == 407:
        yield Finding(
            Level.FAIL,
            what,
            f"{host} answers {status}",
            "check aep.inlet_url and the proxy: that is not an inlet's answer",
        )
    elif status >= 500 or status == 429:
        yield Finding(
            Level.WARN,
            what,
            f"{host} answers {status}",
            "reachable, but busy or down at the moment: the bridge waits for it",
        )
    else:
        how = "authenticated" if "authorization" in headers else "without authentication"
        yield Finding(Level.OK, what, f"{host} answers, {how}")
