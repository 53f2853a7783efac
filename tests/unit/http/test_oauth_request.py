"""The request for a token: what goes to IMS, and what its response becomes."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from bridge.http.oauth import TokenError, TokenSource
from tests.support.ims import SECRET, Ims, ManualClock, token_source


@pytest.fixture
def ims() -> Ims:
    return Ims()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(ims: Ims, clock: ManualClock) -> TokenSource:
    return token_source(ims, clock)


def test_the_form(source: TokenSource, ims: Ims) -> None:
    """It is the one of OAuth server-to-server, with the scope unchanged."""
    assert source.bearer(1010) == "token-1"
    assert ims.forms == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["me"],
            "client_secret": [SECRET],
            "scope": ["openid,AdobeID"],
        }
    ]


def test_a_rotated_secret_file(ims: Ims, clock: ManualClock, tmp_path: Path) -> None:
    """The file is read for each request, and its trailing newline is not part of the secret."""
    file = tmp_path / "secret"
    source = token_source(ims, clock, file.read_text)
    for secret in ("old", "new"):
        file.write_text(f"{secret}\n")
        source.bearer(clock.now + 10)
        clock.now += 90000
    assert [form["client_secret"] for form in ims.forms] == [["old"], ["new"]]


def test_a_secret_that_is_not_there(ims: Ims, clock: ManualClock, tmp_path: Path) -> None:
    """An unreadable or empty secret is a TokenError, and IMS is not asked."""
    for secret in ((tmp_path / "none").read_text, lambda: " \n"):
        with pytest.raises(TokenError, match="client secret"):
            token_source(ims, clock, secret).bearer(1010)
    assert not ims.forms


ECHO = {"error": "invalid_client", "error_description": f"bad {SECRET}"}


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (httpx.Response(400, json=ECHO), "400: invalid_client: bad …"),
        (httpx.Response(503, text="<html>"), "answered 503$"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example/"}), "answered 302"),
        (httpx.Response(200, text="<html>"), "without a usable access_token"),
        (httpx.Response(200, json=[]), "without a usable access_token"),
        (httpx.Response(200, json={"access_token": "a\r\nX: y"}), "without a usable access_token"),
        (httpx.Response(200, json={"access_token": "a", "token_type": "mac"}), "not a bearer token"),
    ],
)
def test_the_error_holds_what_ims_says(
    source: TokenSource, ims: Ims, response: httpx.Response, text: str
) -> None:
    """IMS's own error text is passed on; the secret is not, even if IMS repeats it."""
    ims.respond = lambda _: response
    with pytest.raises(TokenError, match=text) as caught:
        source.bearer(1010)
    assert SECRET not in f"{caught.value!r} {source.last_error}"


def test_no_secret_is_shown(source: TokenSource, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the secret nor the token is in a repr or a log."""
    caplog.set_level(logging.DEBUG)
    token = source.bearer(1010)
    shown = f"{source!r}{source._request!r}{caplog.text}"
    assert SECRET not in shown
    assert token not in shown
