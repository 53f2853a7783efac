"""Which proxy applies, and which setting says so."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.check.proxy import check_proxies
from bridge.config.settings_aep import AepSettings

Check = Callable[..., list[tuple[str, str, str]]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return what checks the proxies of an inlet and a token endpoint on different
    hosts, in some environment.
    """

    def run(environ: dict[str, str], **aep: Any) -> list[tuple[str, str, str]]:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            for spelling in (name, name.upper()):
                monkeypatch.delenv(spelling, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        auth = {"token_url": "https://ims.example/token", "client_id": "c", "client_secret": "s"}
        inlet = AepSettings.model_validate(
            {"inlet_url": "https://dcs.example/collection/x", "auth": auth, **aep}
        )
        findings = check_proxies(inlet, "inlet x", environ)
        return [(str(finding.level), finding.subject, finding.text) for finding in findings]

    return run


@pytest.fixture
def proxy() -> Iterator[str]:
    """The address of something that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_without_a_proxy_it_connects_directly(check: Check) -> None:
    """Both ways to set one are named."""
    text = "none: neither aep.proxy_url nor HTTPS_PROXY is set; connects directly"

    assert check({}) == [("ok", "proxy of inlet x", text)]


def test_the_variable_that_decides_is_named_and_no_password_shown(check: Check, proxy: str) -> None:
    """The scheme's own variable counts, not that of http."""
    environ = {"HTTPS_PROXY": f"http://u:canary@{proxy}", "HTTP_PROXY": "http://other:1"}
    text = f"{proxy}, by HTTPS_PROXY, with a password: takes connections"

    assert check(environ) == [("ok", "proxy of inlet x", text)]


def test_an_exception_for_one_endpoint_makes_two_findings(check: Check, proxy: str) -> None:
    """NO_PROXY may take the token endpoint out, and the inlet not."""
    environ = {"https_proxy": f"http://{proxy}", "NO_PROXY": "ims.example"}
    direct = "none: NO_PROXY takes ims.example out of https_proxy; connects directly"

    assert check(environ) == [
        ("ok", "proxy of inlet x (inlet)", f"{proxy}, by https_proxy: takes connections"),
        ("ok", "proxy of inlet x (token endpoint)", direct),
    ]


def test_the_setting_counts_before_the_variable(check: Check, proxy: str) -> None:
    """An empty setting means no proxy, whatever the environment says."""
    environ = {"HTTPS_PROXY": "http://other:1"}
    text = f"{proxy}, by aep.proxy_url: takes connections"

    assert check(environ, proxy_url=f"http://{proxy}") == [("ok", "proxy of inlet x", text)]
    assert "aep.proxy_url is empty" in check(environ, proxy_url="")[0][2]


def test_a_proxy_that_is_away_or_of_another_kind_fails(check: Check) -> None:
    """It is one failure for both endpoints, since it has one cause."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    away = check({"ALL_PROXY": f"http://{address}"})
    other_kind = check({"HTTPS_PROXY": "socks5://p:1"})

    assert away == [("FAIL", "proxy of inlet x", f"{address}, by ALL_PROXY: Connection refused")]
    assert "other kinds of proxy are not supported" in other_kind[0][2]
