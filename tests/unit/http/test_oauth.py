"""The token source: when it fetches a token, and what its callers get meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import httpx
import pytest

from bridge.http.oauth import EARLY_S, TokenError, TokenSource
from tests.support.ims import Ims, ManualClock, token_source


@pytest.fixture
def ims() -> Ims:
    return Ims()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(ims: Ims, clock: ManualClock) -> TokenSource:
    return token_source(ims, clock)


def test_refreshed_ahead_of_expiry(source: TokenSource, ims: Ims, clock: ManualClock) -> None:
    """Ten minutes before a day's token expires, another is fetched."""
    source.bearer(1010)
    clock.now += 86399 - 601
    assert source.bearer(clock.now + 10) == "token-1"
    clock.now += 2
    assert source.bearer(clock.now + 10) == "token-2"
    assert (source.age_s, source.expires_in_s, len(ims.forms)) == (0, 86399, 2)


@pytest.mark.parametrize(
    ("expires_in", "half"), [(60, 30), ("60", 30), (None, 3000), ("soon", 3000), (-1, 3000), ("nan", 3000)]
)
def test_lifetimes(
    source: TokenSource, ims: Ims, clock: ManualClock, expires_in: object, half: float
) -> None:
    """Half of a short life is used; a string is read as a number; a missing or senseless life is an hour."""
    ims.respond = lambda _: ims.token(expires_in=expires_in, token_type="Bearer")
    source.bearer(1010)
    clock.now += half - 1
    source.bearer(clock.now + 10)
    assert len(ims.forms) == 1
    clock.now += 2
    source.bearer(clock.now + 10)
    assert len(ims.forms) == 2


def test_one_refresh_for_many_threads(ims: Ims) -> None:
    """Eight threads that need a token at the same moment make one request and get the same token."""
    source, barrier = token_source(ims, time.monotonic), Barrier(8)
    ims.respond = lambda _: (Event().wait(0.1), ims.token())[1]

    def worker(_: int) -> str:
        barrier.wait(10)
        return source.bearer(time.monotonic() + 10)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(worker, range(8))) == {"token-1"}
    assert len(ims.forms) == 1


def test_waiting_for_another_threads_refresh_ends_at_the_deadline(ims: Ims) -> None:
    """A slow IMS does not hold a request longer than its own time."""
    source, asked, go = token_source(ims, time.monotonic), Event(), Event()

    def slow(_: httpx.Request) -> httpx.Response:
        asked.set()
        go.wait(10)
        return ims.token()

    ims.respond = slow
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(source.bearer, time.monotonic() + 10)
        assert asked.wait(10)
        with pytest.raises(TokenError, match="no token yet"):
            source.bearer(time.monotonic() + 0.05)
        go.set()
        assert first.result(10) == "token-1"


def test_a_token_that_was_accepted_and_is_refused(source: TokenSource, ims: Ims) -> None:
    """It is dropped, and the next request gets another at once; every thread that used it learns the same."""
    old = source.bearer(1010)
    source.accepted(old)
    assert [source.refused(old), source.refused(old)] == [True, True]
    assert source.bearer(1010) == "token-2"
    assert source.refused(old)
    assert len(ims.forms) == 2


def test_accepting_and_refusing_in_turns_costs_few_tokens(
    source: TokenSource, ims: Ims, clock: ManualClock
) -> None:
    """A gateway that refuses at random costs at most one token in ten seconds."""
    for _ in range(600):
        token = source.bearer(clock.now + 1)
        source.accepted(token)
        source.refused(token)
        clock.now += 0.1
    assert len(ims.forms) <= 8


def test_a_fresh_token_that_is_refused(source: TokenSource, ims: Ims, clock: ManualClock) -> None:
    """It is kept for a minute, then replaced: a new one at once would most likely be refused too."""
    for _ in range(120):
        assert not source.refused(source.bearer(clock.now + 1))
        clock.now += 1
    assert len(ims.forms) == 2


def test_ims_down(source: TokenSource, ims: Ims, clock: ManualClock) -> None:
    """Failed refreshes are repeated after 1, 2, 4 … 60 s; callers in between get the last error at once."""

    def down(_: httpx.Request) -> httpx.Response:
        msg = "connecting to ims.example:443: Connection refused"
        raise httpx.ConnectError(msg)

    ims.respond, began = down, clock.now
    tries: list[float] = []
    while clock.now < began + 300:
        with pytest.raises(TokenError, match="Connection refused"):
            source.bearer(clock.now + 1)
        tries += [clock.now - began] * (len(ims.forms) - len(tries))
        clock.now += 0.5
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert "Connection refused" in source.last_error
    ims.respond = lambda _: ims.token()
    clock.now += 60
    assert source.bearer(clock.now + 1)
    assert source.last_error == ""


def test_a_failed_early_refresh_is_no_error(source: TokenSource, ims: Ims, clock: ManualClock) -> None:
    """While the old token is valid it is used, and IMS is asked again with the back-off only."""
    source.bearer(1010)
    ims.respond = lambda _: httpx.Response(429, json={"error": "throttled"})
    clock.now += 86399 - 300
    for _ in range(290):
        assert source.bearer(clock.now + 1) == "token-1"
        clock.now += 1
    assert 1 < len(ims.forms) < 14
    assert "429: throttled" in source.last_error


def test_an_early_refresh_that_hangs_leaves_the_request_its_time(ims: Ims) -> None:
    """The old token is valid; after 30 seconds for IMS, a request could not wait for its own response."""
    deadlines: list[float] = []

    def hangs(request: httpx.Request) -> httpx.Response:
        deadlines.append(request.extensions["deadline"] - time.monotonic())
        raise httpx.ReadTimeout("out of time")

    source = token_source(ims, time.monotonic)
    source.bearer(time.monotonic() + 30)
    assert source._token is not None
    source._token.refresh = 0.0
    ims.respond = hangs

    assert source.bearer(time.monotonic() + 30) == "token-1"
    source._token.expires = 0.0
    source._next_try = 0.0
    with pytest.raises(TokenError):
        source.bearer(time.monotonic() + 30)
    early, late = deadlines
    assert early <= EARLY_S < 29 < late
