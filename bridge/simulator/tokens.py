"""Adobe's token endpoint (IMS): bearer tokens for client credentials. They expire and can be revoked."""

from __future__ import annotations

import secrets
import threading
import time
from urllib.parse import parse_qsl

from bridge.simulator.accounting import Accounting
from bridge.simulator.config import Config
from bridge.simulator.http import HttpRequest, HttpResponse, json_response
from bridge.simulator.rate_limits import TokenBucket


class TokenEndpoint:
    """Issues tokens and knows which are valid. Safe to call from any thread."""

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._lock = threading.Lock()
        self._expires_at: dict[str, float] = {}
        self._rate_limit = TokenBucket()

    def revoke(self) -> int:
        """Make every issued token invalid, and return how many there were."""
        with self._lock:
            count = len(self._expires_at)
            self._expires_at.clear()
            return count

    def is_valid(self, authorization: str | None) -> bool:
        """Return whether an `Authorization` header carries a token that was issued and has not expired."""
        scheme, _, token = (authorization or "").partition(" ")
        with self._lock:
            expires_at = self._expires_at.get(token.strip(), 0.0)
        return scheme.lower() == "bearer" and expires_at > time.monotonic()

    def respond(self, request: HttpRequest, config: Config) -> HttpResponse:
        """Respond to `POST /ims/token/v3`."""
        if config.tokens_per_min and not self._rate_limit.take(1, config.tokens_per_min, 60):
            self._accounting.record_token_outcome("throttled")
            return _error(429, "too_many_requests", "token requests are throttled")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        error = _refusal(form, request.headers.get("content-type", ""), config)
        if error is not None:
            self._accounting.record_token_outcome("refused")
            return _error(400, *error)
        token = f"simulated.{secrets.token_urlsafe(24)}"
        with self._lock:
            self._expires_at[token] = time.monotonic() + config.token_ttl_s
        self._accounting.record_token_outcome("issued")
        body = {"access_token": token, "token_type": "bearer", "expires_in": int(config.token_ttl_s)}
        return json_response(200, body)


def _error(status: int, code: str, description: str) -> HttpResponse:
    return json_response(status, {"error": code, "error_description": description})


def _refusal(form: dict[str, str], content_type: str, config: Config) -> tuple[str, str] | None:
    """Return OAuth's error code and a description; None if the credentials are good."""
    if not content_type.startswith("application/x-www-form-urlencoded"):
        return "bad_request", "the body must be a form"
    if form.get("grant_type") != "client_credentials":
        return "unsupported_grant_type", "grant_type must be client_credentials"
    if form.get("client_id") != config.client_id:
        return "invalid_client", "invalid client_id parameter"
    if form.get("client_secret") not in config.client_secrets:
        return "invalid_client", "invalid client_secret parameter"
    if not form.get("scope"):
        return "invalid_scope", "scope must be given"
    return None
