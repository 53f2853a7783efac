"""Which proxy is used."""

from __future__ import annotations

import pytest

from bridge.http.connection import HttpConnection
from bridge.http.proxy import Proxy


@pytest.mark.parametrize(
    "url",
    [
        "socks5://user:hidden@host:1",
        "https://user:hidden@host",
        "http://user:hidden@",
        "http://user:hidden@host:port",
    ],
)
def test_a_proxy_of_another_kind_is_refused_at_once(url: str) -> None:
    """Only http:// proxies are known; the text doesn't repeat the URL, which holds a password."""
    with pytest.raises(ValueError, match="a proxy is given as") as caught:
        HttpConnection(proxy=url)

    assert "hidden" not in str(caught.value)


def test_no_password_is_shown() -> None:
    """A proxy's repr may be logged."""
    assert repr(Proxy.parse("http://user:hidden@host:3128")) == "Proxy(host:3128)"
