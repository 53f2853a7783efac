"""A blocking client for one inlet, made as the bridge makes its own: same TLS, proxy, headers and token."""

from __future__ import annotations

import time

import httpx

from bridge.config.settings_aep import AepSettings
from bridge.http.connection import http_client
from bridge.http.oauth import TokenSource
from bridge.http.tls import Tls

MAX_RESPONSE_BYTES = 1_000_000


def open_client(aep: AepSettings) -> httpx.Client:
    """Return a client for an inlet; the caller closes it. Raises OSError, ValueError for files
    and a proxy.
    """
    files = (aep.ca_file, aep.client_cert_file, aep.client_key_file)
    tls = Tls(*(None if file is None else str(file) for file in files))
    return http_client(tls=tls, proxy=aep.proxy())


def token_source(aep: AepSettings, client: httpx.Client) -> TokenSource | None:
    """Return where an inlet's tokens come from; None for an inlet without authentication."""
    auth = aep.auth
    if auth is None:
        return None
    return TokenSource(
        url=auth.token_url,
        client_id=auth.client_id,
        secret=auth.secret,
        scope=auth.scope,
        client=client,
    )


def authorization(tokens: TokenSource, timeout_s: float) -> dict[str, str]:
    """Return the header with a new token. Raises `TokenError`."""
    return {"authorization": f"Bearer {tokens.bearer(time.monotonic() + timeout_s)}"}


def post_json(
    client: httpx.Client, url: str, headers: dict[str, str], body: bytes, timeout_s: float
) -> httpx.Response:
    """Send a request whose whole exchange takes at most `timeout_s`. Raises `httpx.HTTPError`."""
    limits = {"deadline": time.monotonic() + timeout_s, "max_response_bytes": MAX_RESPONSE_BYTES}
    return client.post(
        url, headers=headers | {"content-type": "application/json"}, content=body, extensions=limits
    )
