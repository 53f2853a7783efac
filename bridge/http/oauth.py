"""One OAuth server-to-server token: fetched once at a time, ahead of its expiry, and not more often than IMS likes.

Adobe throttles clients that ask for many tokens, and an inlet without required authentication takes an expired one in silence. So:

- a token is refreshed `refresh_ahead_s` before it expires (at half its life, if that is later), by one thread;
  the others go on with the old one;
- a refresh that fails is repeated after a jittered back-off of up to a minute, and is an error only where no token is valid any more;
- a token that AEP refuses after having accepted it is dropped, and the next caller fetches another; at most one in ten seconds;
- a token that AEP refuses at its first use is replaced after a minute at the earliest: a new one would most likely fare no better.

Expiry is counted by our own clock from the moment the token came, so wrong wall clocks don't matter.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Final
from urllib.parse import quote, quote_plus

import httpx
import msgspec

REFRESH_AHEAD_S: Final = 600.0
DEFAULT_LIFE_S: Final = 3600.0
"""Of a token that doesn't say when it expires."""
BACK_OFF_MAX_S: Final = 60.0
_FRESH_REFUSED_S: Final = 60.0
_GOOD_REFUSED_S: Final = 10.0
_TIMEOUT_S: Final = 30.0
EARLY_S: Final = 5.0
"""What a refresh may take of a request's time while the old token is still valid."""
_MAX_ANSWER_BYTES: Final = 256 << 10
_MAX_ERROR: Final = 400


class TokenError(Exception):
    """No valid token, and why: what IMS said, or what kept us from asking. Holds no secret."""


@dataclass(slots=True)
class _Token:
    bearer: str
    came: float
    refresh: float
    expires: float
    accepted: bool = False


class TokenSource:
    """The token of one client id. Any thread may call any method.

    `secret` is asked at each refresh, so that a rotated file is read anew; `clock` gives monotonic seconds. The `client` belongs to the source.
    `on_failure` hears of each failed refresh, on the thread that tried.
    """

    def __init__(
        self,
        *,
        url: str,
        client_id: str,
        secret: Callable[[], str],
        scope: str,
        client: httpx.Client,
        refresh_ahead_s: float = REFRESH_AHEAD_S,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._client_id = client_id
        self._secret = secret
        self._scope = scope
        self._client = client
        self._ahead = refresh_ahead_s
        self._clock = clock
        self._chance = chance
        self._on_failure = on_failure
        self._changed = Condition()
        self._token: _Token | None = None
        self._refreshing = False
        self._failures = 0
        self._not_before = float("-inf")
        self._dropped_at = float("-inf")
        self._last_refused: tuple[str, bool] = ("", False)
        self._error = ""
        self._error_at: float | None = None
        self._refreshes = 0

    def __repr__(self) -> str:
        return f"TokenSource({httpx.URL(self._url).host}, client_id={self._client_id})"

    def bearer(self, deadline: float) -> str:
        """A token that is valid now. Fetches one, or waits for the thread that does, until `deadline` (the clock's seconds).

        Raises TokenError at once while the back-off after a failed refresh lasts, and when time is up.
        """
        with self._changed:
            while True:
                if (bearer := self._usable()) is not None:
                    return bearer
                now, token = self._clock(), self._token
                if not self._refreshing:
                    break
                if now >= deadline or not self._changed.wait(deadline - now):
                    msg = "no token yet: its refresh takes longer than the request may"
                    raise TokenError(msg)
            if now < self._not_before:
                msg = f"no token, next try in {self._not_before - now:.0f} s: {self._error}"
                raise TokenError(msg)
            self._refreshing = True
        return self._refresh(
            deadline if token is None or now >= token.expires else min(deadline, now + EARLY_S)
        )

    def cached_bearer(self) -> str | None:
        """What `bearer` gives where it need not wait or ask for it; None where it would."""
        with self._changed:
            return self._usable()

    def _usable(self) -> str | None:
        now, token = self._clock(), self._token
        if (
            token is not None
            and now < token.expires
            and (now < token.refresh or self._refreshing or now < self._not_before)
        ):
            return token.bearer
        return None

    def accepted(self, bearer: str) -> None:
        """AEP took it: from now on its refusal means that it was revoked or has expired."""
        token = self._token
        if token is not None and token.bearer == bearer:
            token.accepted = True

    def refused(self, bearer: str) -> bool:
        """AEP answered 401 or 403. True: it had been accepted before, and the next `bearer` is another one."""
        with self._changed:
            token, now = self._token, self._clock()
            if token is None or token.bearer != bearer:
                refused, was_good = self._last_refused
                return was_good if refused == bearer else True
            if token.accepted and now - self._dropped_at >= _GOOD_REFUSED_S:
                self._dropped_at = now
                self._token = None
                self._last_refused = bearer, True
                return True
            wait_s = _GOOD_REFUSED_S if token.accepted else _FRESH_REFUSED_S
            token.refresh = min(token.refresh, max(now, token.came + wait_s))
            self._last_refused = bearer, False
            return False

    @property
    def age_s(self) -> float | None:
        """Seconds since the token came; None without one."""
        token = self._token
        return None if token is None else self._clock() - token.came

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until it expires, negative once it has; None without one."""
        token = self._token
        return None if token is None else token.expires - self._clock()

    @property
    def last_error(self) -> str:
        """Why the last refresh failed; empty once one succeeded."""
        return self._error

    @property
    def last_error_at(self) -> float | None:
        """When it failed, in the clock's seconds."""
        return self._error_at

    @property
    def refreshes(self) -> int:
        """Tokens fetched so far."""
        return self._refreshes

    def close(self) -> None:
        """Closes the connection to IMS."""
        self._client.close()

    def _refresh(self, deadline: float) -> str:
        """One request, made outside the lock. Whatever goes wrong, the waiting threads are woken."""
        token: _Token | None = None
        error = "the refresh was interrupted"
        try:
            token, error = self._fetch(deadline), ""
        except TokenError as failure:
            error = str(failure)
        except Exception as failure:
            error = f"the token could not be fetched: {type(failure).__name__}"
        finally:
            with self._changed:
                self._refreshing = False
                now = self._clock()
                if token is not None:
                    self._token, self._failures, self._error, self._error_at = token, 0, "", None
                    self._refreshes += 1
                else:
                    self._error, self._error_at = error, now
                    self._not_before = now + self._back_off()
                    token = self._token if self._token is not None and now < self._token.expires else None
                self._changed.notify_all()
            if error:
                self._on_failure(error)
        if token is None:
            raise TokenError(error)
        return token.bearer

    def _back_off(self) -> float:
        """1, 2, 4 … 60 s, of which the upper half is left to chance, so that replicas don't come in step."""
        most = min(BACK_OFF_MAX_S, 2.0 ** min(self._failures, 6))
        self._failures += 1
        return most * (0.5 + self._chance() / 2)

    def _fetch(self, deadline: float) -> _Token:
        try:
            secret = self._secret().strip()
        except (OSError, ValueError) as error:
            msg = (
                f"the client secret can't be read: {getattr(error, 'strerror', None) or type(error).__name__}"
            )
            raise TokenError(msg) from None
        if not secret:
            msg = "the client secret is empty"
            raise TokenError(msg)
        host = httpx.URL(self._url).host
        left = min(deadline - self._clock(), _TIMEOUT_S)
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": secret,
            "scope": self._scope,
        }
        try:
            answer = self._client.post(
                self._url,
                data=form,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                follow_redirects=False,
                extensions={"deadline": time.monotonic() + left, "max_response_bytes": _MAX_ANSWER_BYTES},
            )
        except httpx.HTTPError as error:
            msg = _without(secret, f"{host} gave no token: {error or type(error).__name__}")
            raise TokenError(msg) from None
        if not answer.is_success:
            raise TokenError(_without(secret, f"{host} answered {answer.status_code}{_said(answer.content)}"))
        return self._understand(answer.content, host)

    def _understand(self, body: bytes, host: str) -> _Token:
        fields = _object(body)
        bearer = fields.get("access_token")
        if (
            not isinstance(bearer, str)
            or not bearer.isascii()
            or not bearer.isprintable()
            or " " in bearer
            or not bearer
        ):
            msg = f"{host} answered without a usable access_token"
            raise TokenError(msg)
        kind = fields.get("token_type", "bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            msg = f"{host} answered with a token that is not a bearer token"
            raise TokenError(msg)
        life, now = _seconds(fields.get("expires_in")), self._clock()
        return _Token(
            bearer=bearer, came=now, refresh=now + max(life - self._ahead, life / 2), expires=now + life
        )


def _seconds(value: object) -> float:
    """`expires_in`: a number, or a string that holds one; what is missing or senseless is an hour."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else DEFAULT_LIFE_S
    except (ValueError, OverflowError):
        return DEFAULT_LIFE_S
    return seconds if 0 < seconds < 1e9 else DEFAULT_LIFE_S  # thirty years; also turns away NaN


def _object(body: bytes) -> dict[str, object]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _said(body: bytes) -> str:
    """IMS's `error` and `error_description`, on one line."""
    fields = _object(body)
    texts = [str(fields[name]) for name in ("error", "error_description") if fields.get(name)]
    return "".join(f": {' '.join(text.split())[:_MAX_ERROR]}" for text in texts)


def _without(secret: str, text: str) -> str:
    """The text, even where a peer echoes what it was sent."""
    for form in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}:
        text = text.replace(form, "…")
    return text


__all__ = ["TokenError", "TokenSource"]
