"""Inlets: the proxy in between, the token, the clock, and the response to a batch without messages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from bridge.check.aep_client import authorization, open_client, post_json, token_source
from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.check.proxy import check_proxies
from bridge.config.settings import Settings
from bridge.config.settings_aep import AepSettings
from bridge.http.oauth import TokenError

MAX_SKEW_S = 60.0


def check(settings: Settings) -> Iterator[Finding]:
    """Check each different inlet once."""
    inlets = {aep.identity: aep for aep in map(settings.inlet_for, settings.topics)}
    for aep in inlets.values():
        yield from _inlet(aep)


def _inlet(aep: AepSettings) -> Iterator[Finding]:
    subject = f"inlet {aep.inlet_id[:12]}"
    try:
        client = open_client(aep)
        headers = dict(aep.header_values())
    except (OSError, ValueError) as problem:
        next_step = "check ca_file, client_cert_file, client_key_file, proxy_url and the headers' files"
        yield Finding(Level.FAIL, subject, str(problem), next_step)
        return
    with client:
        for finding in check_proxies(aep, subject):
            yield finding
            if finding.level is Level.FAIL:
                return
        tokens = token_source(aep, client)
        if tokens is not None:
            try:
                headers |= authorization(tokens, TIMEOUT_S)
            except TokenError as problem:
                next_step = "check aep.auth: token_url, client_id, the secret and the scope"
                yield Finding(Level.FAIL, f"token for {subject}", str(problem), next_step)
                return
            hours = (tokens.expires_in_s or 0.0) / 3600
            yield Finding(Level.OK, f"token for {subject}", f"got one; it expires in {hours:.1f} h")
        yield from check_response(client, aep, headers, subject)


def check_response(
    client: httpx.Client, aep: AepSettings, headers: dict[str, str], subject: str
) -> Iterator[Finding]:
    """Send a batch without messages, which no AEP takes for data, and judge the clock and the response."""
    host = httpx.URL(aep.batch_url).host
    try:
        response = post_json(client, aep.batch_url, headers, b'{"messages":[]}', TIMEOUT_S)
    except httpx.HTTPError as problem:
        next_step = "check aep.inlet_url, DNS, egress rules, ca_file and the proxy"
        yield Finding(Level.FAIL, subject, f"{host}: {problem}", next_step, unreachable=True)
        return
    yield _clock(response.headers.get("date", ""), host)
    yield _judge(response.status_code, subject, host, authenticated="authorization" in headers)


def _judge(status: int, subject: str, host: str, *, authenticated: bool) -> Finding:
    text = f"{host} answers {status}"
    if status in {401, 403}:
        next_step = "check aep.auth, the inlet's authentication setting, and IP allow-lists"
        return Finding(Level.FAIL, subject, text, next_step)
    if status in {404, 407} or 300 <= status < 400:
        next_step = "check aep.inlet_url and the proxy: an inlet does not answer like that"
        return Finding(Level.FAIL, subject, text, next_step)
    if status >= 500 or status == 429:
        next_step = "it is reachable, but busy or down at the moment: the bridge waits until it accepts again"
        return Finding(Level.WARN, subject, text, next_step)
    how = "authenticated" if authenticated else "without authentication"
    return Finding(Level.OK, subject, f"{host} answers, {how}")


def _clock(date: str, host: str) -> Finding:
    """Compare this machine's clock with the `Date` of a response, which is GMT whether it says so or not."""
    try:
        moment = parsedate_to_datetime(date)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        skew_s = time.time() - moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        sent = f"the Date {date[:40]!r}" if date else "no Date"
        return Finding(Level.WARN, "clock", f"its skew is not known: {host} sends {sent}")
    text = f"{skew_s:+.0f} s against {host}"
    if abs(skew_s) <= MAX_SKEW_S:
        return Finding(Level.OK, "clock", text)
    next_step = "synchronise this machine's clock: tokens and Retry-After dates depend on it"
    return Finding(Level.WARN, "clock", text, next_step)
