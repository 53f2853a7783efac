"""Adobe's token endpoint: client credentials in, bearer tokens out; they expire, and can be revoked."""

from __future__ import annotations

import secrets
import threading
import time
from urllib.parse import parse_qsl

from bridge.simulator.accounting import Accounting
from bridge.simulator.config import Config
from bridge.simulator.http import Reply, Request, json_reply
from bridge.simulator.rates import Bucket


class Tokens:
    """The tokens that are out. Safe to call from any thread."""

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._lock = threading.Lock()
        self._expiry: dict[str, float] = {}
        self._bucket = Bucket()

    def revoke(self) -> int:
        """Makes every token that is out invalid; returns how many there were."""
        with self._lock:
            count = len(self._expiry)
            self._expiry.clear()
            return count

    def valid(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header carries a token that is known, and not expired."""
        scheme, _, token = (authorization or "").partition(" ")
        with self._lock:
            return scheme.lower() == "bearer" and self._expiry.get(token.strip(), 0.0) > time.monotonic()

    def reply(self, request: Request, config: Config) -> Reply:
        """Answers `POST /ims/token/v3`."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if config.tokens_per_min and not self._bucket.take(1, config.tokens_per_min, 60):
            self._accounting.token("throttled")
            return json_reply(
                429, {"error": "too_many_requests", "error_description": "token requests are throttled"}
            )
        error = _refusal(form, request.headers.get("content-type", ""), config)
        if error is not None:
            self._accounting.token("refused")
            return json_reply(400, {"error": error[0], "error_description": error[1]})
        token = f"simulated.{secrets.token_urlsafe(24)}"
        with self._lock:
            self._expiry[token] = time.monotonic() + config.token_ttl_s
        self._accounting.token("issued")
        return json_reply(
            200, {"access_token": token, "token_type": "bearer", "expires_in": int(config.token_ttl_s)}
        )


def _refusal(form: dict[str, str], content_type: str, config: Config) -> tuple[str, str] | None:
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
