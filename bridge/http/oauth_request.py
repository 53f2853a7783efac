"""Asks Adobe's identity service (IMS) for a token, by OAuth server-to-server; no error shows the secret."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

import httpx
import msgspec

DEFAULT_LIFE_S: Final = 3600.0
"""Of a token whose response doesn't say when it expires."""
_MAX_RESPONSE_BYTES: Final = 256 << 10
_MAX_ERROR: Final = 400
"""Characters of IMS's own error texts."""


class TokenError(Exception):
    """There is no valid token, and why: what IMS said, or what prevented the request. Holds no secret."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as IMS gave it."""

    bearer: str
    life_s: float


@dataclass(frozen=True, slots=True, repr=False)
class TokenRequest:
    """What it takes to ask for a token of one client id."""

    url: str
    client_id: str
    secret: Callable[[], str]
    """Called for each request, so that a rotated file is read again."""
    scope: str
    client: httpx.Client

    @property
    def host(self) -> str:
        """Of the token endpoint."""
        return httpx.URL(self.url).host

    def send(self, timeout_s: float) -> IssuedToken:
        """Return the token that IMS gives. Raises TokenError."""
        secret = self._read_secret()
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": secret,
            "scope": self.scope,
        }
        limits = {"deadline": time.monotonic() + timeout_s, "max_response_bytes": _MAX_RESPONSE_BYTES}
        try:
            response = self.client.post(
                self.url,
                data=form,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                follow_redirects=False,  # the form holds the secret
                extensions=limits,
            )
        except httpx.HTTPError as error:
            msg = f"{self.host} gave no token: {error or type(error).__name__}"
            raise TokenError(_without(secret, msg)) from None
        if not response.is_success:
            msg = f"{self.host} answered {response.status_code}{_error_texts(response.content)}"
            raise TokenError(_without(secret, msg))
        return self._parse(response.content)

    def _read_secret(self) -> str:
        try:
            secret = self.secret().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            msg = f"the client secret can't be read: {reason}"
            raise TokenError(msg) from None
        if not secret:
            msg = "the client secret is empty"
            raise TokenError(msg)
        return secret

    def _parse(self, body: bytes) -> IssuedToken:
        fields = _object(body)
        bearer = fields.get("access_token")
        if not isinstance(bearer, str) or not _fits_a_header(bearer):
            msg = f"{self.host} answered without a usable access_token"
            raise TokenError(msg)
        kind = fields.get("token_type", "bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            msg = f"{self.host} answered with a token that is not a bearer token"
            raise TokenError(msg)
        return IssuedToken(bearer, _life_s(fields.get("expires_in")))


def _fits_a_header(bearer: str) -> bool:
    return bearer != "" and bearer.isascii() and bearer.isprintable() and " " not in bearer


def _life_s(expires_in: object) -> float:
    """Return the seconds of `expires_in`, a number or a string; an hour if it is missing or senseless."""
    try:
        seconds = float(expires_in) if isinstance(expires_in, int | float | str) else DEFAULT_LIFE_S
    except (ValueError, OverflowError):
        return DEFAULT_LIFE_S
    return seconds if 0 < seconds < 1e9 else DEFAULT_LIFE_S  # thirty years; NaN is not in the range either


def _object(body: bytes) -> dict[str, object]:
    """Return the JSON object that the body holds; an empty one where it holds none."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _error_texts(body: bytes) -> str:
    """Return IMS's `error` and `error_description`, on one line."""
    fields = _object(body)
    texts = [str(fields[name]) for name in ("error", "error_description") if fields.get(name)]
    return "".join(f": {' '.join(text.split())[:_MAX_ERROR]}" for text in texts)


def _without(secret: str, text: str) -> str:
    """Return the text without the secret, which a peer may repeat in its error."""
    for form in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}:
        text = text.replace(form, "…")
    return text
