"""The OAuth token of one client id: kept, refreshed ahead of its expiry, requested as rarely as possible.

Adobe throttles clients that ask for many tokens, and an inlet without required authentication takes an
expired one without an error. So:

- a token is refreshed `refresh_ahead_s` before it expires (at half its life, if that is later), by one
  thread; the other threads go on with the old one;
- a refresh that fails is repeated after a back-off of up to a minute, with jitter, and is an error only
  where no token is valid any more;
- a token that AEP refuses after it had accepted it is dropped, and the next caller fetches another: at
  most one in ten seconds;
- a token that AEP refuses at its first use is replaced after a minute at the earliest: a new one would
  most likely be refused too.

Expiry is counted by our own clock from the moment the token arrived, so that a wrong wall clock doesn't
matter.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Final

import httpx

from bridge.http.oauth_request import IssuedToken, TokenError, TokenRequest

REFRESH_AHEAD_S: Final = 600.0
BACK_OFF_MAX_S: Final = 60.0
EARLY_S: Final = 5.0
"""How much of a request's time a refresh may take while the old token is still valid."""
_UNACCEPTED_REFUSED_S: Final = 60.0
"""Least age at which a token that AEP refused and never accepted is replaced."""
_ACCEPTED_REFUSED_S: Final = 10.0
"""Least time between two tokens that are dropped because AEP refused them after accepting them."""
_TIMEOUT_S: Final = 30.0


@dataclass(slots=True)
class _Token:
    bearer: str
    arrived: float
    refresh: float
    """When it is to be replaced."""
    expires: float
    accepted: bool = False
    """By AEP, at least once."""


class TokenSource:
    """Any thread may call any method.

    `secret` is called for each refresh, so that a rotated file is read again; `clock` gives monotonic
    seconds. The source owns the `client` and closes it. `on_failure` is called for each failed refresh,
    on the thread that tried.
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
        self._request = TokenRequest(url, client_id, secret, scope, client)
        self._refresh_ahead_s = refresh_ahead_s
        self._clock = clock
        self._chance = chance
        self._on_failure = on_failure
        self._changed = Condition()
        self._token: _Token | None = None
        self._refreshing = False
        """Whether a thread is fetching a token."""
        self._failures = 0
        """Refreshes that failed since the last one that succeeded."""
        self._next_try = float("-inf")
        self._dropped_at = float("-inf")
        self._last_refused: tuple[str, bool] = ("", False)
        """The bearer that AEP refused last, and whether it had accepted it before."""
        self._error = ""

    def __repr__(self) -> str:
        return f"TokenSource({self._request.host}, client_id={self._request.client_id})"

    def bearer(self, deadline: float) -> str:
        """Return a token that is valid now.

        Fetch one, or wait for the thread that does, until `deadline` (the clock's seconds). Raises
        TokenError: at once while the back-off after a failed refresh lasts, and when the time is up.
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
            if now < self._next_try:
                msg = f"no token, next try in {self._next_try - now:.0f} s: {self._error}"
                raise TokenError(msg)
            self._refreshing = True
        expired = token is None or now >= token.expires
        return self._refresh(deadline if expired else min(deadline, now + EARLY_S))

    def cached_bearer(self) -> str | None:
        """Return the token if `bearer` would return it without waiting or asking IMS; None otherwise."""
        with self._changed:
            return self._usable()

    def accepted(self, bearer: str) -> None:
        """Note that AEP accepted this token: if it refuses it later, the token was revoked or has expired."""
        token = self._token
        if token is not None and token.bearer == bearer:
            token.accepted = True

    def refused(self, bearer: str) -> bool:
        """Note that AEP answered 401 or 403 to this token.

        Return True where it had been accepted before: the next `bearer` is another one.
        """
        with self._changed:
            token, now = self._token, self._clock()
            if token is None or token.bearer != bearer:
                last_bearer, was_accepted = self._last_refused
                return was_accepted if last_bearer == bearer else True
            if token.accepted and now - self._dropped_at >= _ACCEPTED_REFUSED_S:
                self._dropped_at = now
                self._token = None
                self._last_refused = bearer, True
                return True
            least_age_s = _ACCEPTED_REFUSED_S if token.accepted else _UNACCEPTED_REFUSED_S
            token.refresh = min(token.refresh, max(now, token.arrived + least_age_s))
            self._last_refused = bearer, False
            return False

    @property
    def age_s(self) -> float | None:
        """Seconds since the token arrived; None without one."""
        token = self._token
        return None if token is None else self._clock() - token.arrived

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the token expires, negative once it has; None without one."""
        token = self._token
        return None if token is None else token.expires - self._clock()

    @property
    def last_error(self) -> str:
        """Why the last refresh failed; empty once one has succeeded."""
        return self._error

    def close(self) -> None:
        """Close the connection to IMS."""
        self._request.client.close()

    def _usable(self) -> str | None:
        """Return the token if it is valid, and this caller need not or can't refresh it now."""
        now, token = self._clock(), self._token
        if token is None or now >= token.expires:
            return None
        if now < token.refresh or self._refreshing or now < self._next_try:
            return token.bearer
        return None

    def _refresh(self, deadline: float) -> str:
        """Make one request, outside of the lock. The waiting threads are woken, whatever goes wrong."""
        issued: IssuedToken | None = None
        error = "the refresh was interrupted"
        try:
            issued = self._request.send(min(deadline - self._clock(), _TIMEOUT_S))
            error = ""
        except TokenError as failure:
            error = str(failure)
        except Exception as failure:  # an error of httpx's or ours: its text may hold the secret
            error = f"the token could not be fetched: {type(failure).__name__}"
        finally:
            with self._changed:
                self._refreshing = False
                usable = self._failed(error) if issued is None else self._succeeded(issued)
                self._changed.notify_all()
            if error:
                self._on_failure(error)
        if usable is None:
            raise TokenError(error)
        return usable.bearer

    def _succeeded(self, issued: IssuedToken) -> _Token:
        now, life_s = self._clock(), issued.life_s
        refresh_in_s = max(life_s - self._refresh_ahead_s, life_s / 2)
        self._token = _Token(issued.bearer, now, now + refresh_in_s, now + life_s)
        self._failures = 0
        self._error = ""
        return self._token

    def _failed(self, error: str) -> _Token | None:
        """Begin the back-off. Return the old token where it is still valid."""
        now = self._clock()
        self._error = error
        self._next_try = now + self._back_off()
        return self._token if self._token is not None and now < self._token.expires else None

    def _back_off(self) -> float:
        """Return 1, 2, 4 … 60 s, the upper half left to chance, so that replicas don't ask in step."""
        longest = min(BACK_OFF_MAX_S, 2.0 ** min(self._failures, 6))
        self._failures += 1
        return longest * (0.5 + self._chance() / 2)


__all__ = ["TokenError", "TokenSource"]
