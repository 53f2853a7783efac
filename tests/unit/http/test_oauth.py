"""The token source, with an IMS of httpx's mock transport and a clock that is set by hand."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from urllib.parse import parse_qs

import httpx
import pytest

from bridge.http.oauth import EARLY_S, TokenError, TokenSource

SECRET = "p8e-/Very+Secret="  # noqa: S105 - of nobody


class Ims:
    """Counts the tokens it gives; `answer` can be replaced."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: self.token()

    def token(self, **more: object) -> httpx.Response:
        fields = {
            "access_token": f"token-{len(self.asked)}",
            "token_type": "bearer",
            "expires_in": 86399,
            **more,
        }
        return httpx.Response(200, json={name: value for name, value in fields.items() if value is not None})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(parse_qs(request.content.decode()))
        return self.answer(request)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ims() -> Ims:
    return Ims()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(ims: Ims, clock: Clock) -> TokenSource:
    return make(ims, clock)


def make(ims: Ims, clock: Callable[[], float], secret: Callable[[], str] = lambda: SECRET) -> TokenSource:
    return TokenSource(
        url="https://ims.example/ims/token/v3", client_id="me", secret=secret, scope="openid,AdobeID",
        client=httpx.Client(transport=httpx.MockTransport(ims)), clock=clock, chance=lambda: 1.0,
    )  # fmt: skip


def test_what_is_asked_of_ims(source: TokenSource, ims: Ims) -> None:
    """The form is the one of OAuth server-to-server, the scope verbatim."""
    assert source.bearer(1010) == "token-1"
    assert ims.asked == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["me"],
            "client_secret": [SECRET],
            "scope": ["openid,AdobeID"],
        }
    ]


def test_refreshed_ahead_of_expiry(source: TokenSource, ims: Ims, clock: Clock) -> None:
    """Ten minutes before a day's token expires, another is fetched."""
    source.bearer(1010)
    clock.now += 86399 - 601
    assert source.bearer(clock.now + 10) == "token-1"
    clock.now += 2
    assert source.bearer(clock.now + 10) == "token-2"
    assert (source.age_s, source.expires_in_s, len(ims.asked)) == (0, 86399, 2)


@pytest.mark.parametrize(
    ("expires_in", "half"), [(60, 30), ("60", 30), (None, 3000), ("soon", 3000), (-1, 3000), ("nan", 3000)]
)
def test_lifetimes(source: TokenSource, ims: Ims, clock: Clock, expires_in: object, half: float) -> None:
    """A short life is used to its half; a string will do; a missing or senseless one is an hour."""
    ims.answer = lambda _: ims.token(expires_in=expires_in, token_type="Bearer")
    source.bearer(1010)
    clock.now += half - 1
    source.bearer(clock.now + 10)
    assert len(ims.asked) == 1
    clock.now += 2
    source.bearer(clock.now + 10)
    assert len(ims.asked) == 2


def test_one_refresh_for_many_threads(ims: Ims) -> None:
    """Eight threads that need a token at the same moment make one request and get the same token."""
    source, barrier = make(ims, time.monotonic), Barrier(8)
    ims.answer = lambda _: (Event().wait(0.1), ims.token())[1]

    def worker(_: int) -> str:
        barrier.wait(10)
        return source.bearer(time.monotonic() + 10)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(worker, range(8))) == {"token-1"}
    assert len(ims.asked) == 1


def test_waiting_for_another_threads_refresh_ends_at_the_deadline(ims: Ims) -> None:
    """A slow IMS does not hold a request longer than its own time."""
    source, asked, go = make(ims, time.monotonic), Event(), Event()

    def slow(_: httpx.Request) -> httpx.Response:
        asked.set()
        go.wait(10)
        return ims.token()

    ims.answer = slow
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(source.bearer, time.monotonic() + 10)
        assert asked.wait(10)
        with pytest.raises(TokenError, match="no token yet"):
            source.bearer(time.monotonic() + 0.05)
        go.set()
        assert first.result(10) == "token-1"


def test_a_rotated_secret_file(ims: Ims, clock: Clock, tmp_path: Path) -> None:
    """The file is read at each refresh, and its trailing newline is not part of the secret."""
    file = tmp_path / "secret"
    source = make(ims, clock, file.read_text)
    for secret in ("old", "new"):
        file.write_text(f"{secret}\n")
        source.bearer(clock.now + 10)
        clock.now += 90000
    assert [asked["client_secret"] for asked in ims.asked] == [["old"], ["new"]]


def test_a_secret_that_is_not_there(ims: Ims, clock: Clock, tmp_path: Path) -> None:
    """An unreadable or empty secret is a TokenError, and IMS is not asked."""
    for secret in ((tmp_path / "none").read_text, lambda: " \n"):
        with pytest.raises(TokenError, match="client secret"):
            make(ims, clock, secret).bearer(1010)
    assert not ims.asked


def test_a_token_that_was_accepted_and_is_refused(source: TokenSource, ims: Ims) -> None:
    """It is dropped: the next request gets another at once; every thread that held it hears the same."""
    old = source.bearer(1010)
    source.accepted(old)
    assert [source.refused(old), source.refused(old)] == [True, True]
    assert source.bearer(1010) == "token-2"
    assert source.refused(old)
    assert len(ims.asked) == 2


def test_accepting_and_refusing_in_turns_does_not_hammer_ims(
    source: TokenSource, ims: Ims, clock: Clock
) -> None:
    """A gateway that refuses at random costs at most one token in ten seconds."""
    for _ in range(600):
        token = source.bearer(clock.now + 1)
        source.accepted(token)
        source.refused(token)
        clock.now += 0.1
    assert len(ims.asked) <= 8


def test_a_fresh_token_that_is_refused(source: TokenSource, ims: Ims, clock: Clock) -> None:
    """It is kept for a minute, then replaced: a new one at once would fare no better."""
    for _ in range(120):
        assert not source.refused(source.bearer(clock.now + 1))
        clock.now += 1
    assert len(ims.asked) == 2


def test_ims_down(source: TokenSource, ims: Ims, clock: Clock) -> None:
    """Failed refreshes are repeated after 1, 2, 4 … 60 seconds; in between callers get the last error without a request."""

    def down(_: httpx.Request) -> httpx.Response:
        msg = "connecting to ims.example:443: Connection refused"
        raise httpx.ConnectError(msg)

    ims.answer, began = down, clock.now
    tried: list[float] = []
    while clock.now < began + 300:
        with pytest.raises(TokenError, match="Connection refused"):
            source.bearer(clock.now + 1)
        tried += [clock.now - began] * (len(ims.asked) - len(tried))
        clock.now += 0.5
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert "Connection refused" in source.last_error
    ims.answer = lambda _: ims.token()
    clock.now += 60
    assert source.bearer(clock.now + 1)
    assert source.last_error == ""


def test_a_failed_early_refresh_is_no_error(source: TokenSource, ims: Ims, clock: Clock) -> None:
    """While the old token is valid it is used, and IMS is asked again with the back-off only."""
    source.bearer(1010)
    ims.answer = lambda _: httpx.Response(429, json={"error": "throttled"})
    clock.now += 86399 - 300
    for _ in range(290):
        assert source.bearer(clock.now + 1) == "token-1"
        clock.now += 1
    assert 1 < len(ims.asked) < 14
    assert "429: throttled" in source.last_error


def test_an_early_refresh_that_hangs_leaves_the_request_its_time(ims: Ims) -> None:
    """The old token is still valid: a request that had waited 30 seconds for IMS could not wait for its own answer any more."""
    deadlines: list[float] = []

    def hangs(request: httpx.Request) -> httpx.Response:
        deadlines.append(request.extensions["deadline"] - time.monotonic())
        raise httpx.ReadTimeout("out of time")

    source = make(ims, time.monotonic)
    source.bearer(time.monotonic() + 30)
    assert source._token is not None  # noqa: SLF001
    source._token.refresh = 0.0  # noqa: SLF001
    ims.answer = hangs

    assert "token-1" == source.bearer(time.monotonic() + 30)
    source._token.expires = 0.0  # noqa: SLF001
    source._next_try = 0.0  # noqa: SLF001
    with pytest.raises(TokenError):
        source.bearer(time.monotonic() + 30)
    early, late = deadlines
    assert early <= EARLY_S < 29 < late


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (httpx.Response(400, json={"error": "invalid_client", "error_description": f"bad {SECRET}"}), "400: invalid_client: bad …"),
        (httpx.Response(503, text="<html>"), "answered 503$"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example/"}), "answered 302"),
        (httpx.Response(200, text="<html>"), "without a usable access_token"),
        (httpx.Response(200, json=[]), "without a usable access_token"),
        (httpx.Response(200, json={"access_token": "a\r\nX: y"}), "without a usable access_token"),
        (httpx.Response(200, json={"access_token": "a", "token_type": "mac"}), "not a bearer token"),
    ],
)  # fmt: skip
def test_what_ims_says_is_passed_on(source: TokenSource, ims: Ims, answer: httpx.Response, text: str) -> None:
    """IMS's own error text is in the error; the secret is not, even if IMS echoes it."""
    ims.answer = lambda _: answer
    with pytest.raises(TokenError, match=text) as caught:
        source.bearer(1010)
    assert SECRET not in f"{caught.value!r} {source.last_error}"


def test_no_secret_is_shown(source: TokenSource, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the secret nor the token is in a repr or a log."""
    caplog.set_level(logging.DEBUG)
    token = source.bearer(1010)
    assert SECRET not in f"{source!r}{caplog.text}"
    assert token not in f"{source!r}{caplog.text}"
