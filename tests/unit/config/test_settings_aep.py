"""Inlets: their addresses, certificates and proxies, and in what a topic's inlet differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.config.settings_aep import AepSettings
from tests.support.settings import INLET, problems, settings

AUTH = {"token_url": "https://ims.example/token", "client_id": "id", "client_secret": "hush-hush"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://dcs.adobedc.net/collection/abc", "https://dcs.adobedc.net/collection/abc"),
        ("https://dcs.adobedc.net/collection/batch/abc", "https://dcs.adobedc.net/collection/abc"),
        ("https://dcs.adobedc.net/collection/abc/", "https://dcs.adobedc.net/collection/abc"),
        (
            "https://dcs.adobedc.net/collection/abc?syncValidation=true",
            "https://dcs.adobedc.net/collection/abc",
        ),
        (" http://localhost:9000/collection/batch/abc/?x=1#y ", "http://localhost:9000/collection/abc"),
        ("https://gateway.example/adobe/collection/abc", "https://gateway.example/adobe/collection/abc"),
    ],
)
def test_an_inlet_is_known_by_either_of_its_urls(url: str, expected: str) -> None:
    """A user copies the URL from wherever AEP shows it: single or batch, with a query or a slash behind."""
    inlet = AepSettings(inlet_url=url)

    assert inlet.inlet_url == expected
    assert inlet.single_url == expected
    assert inlet.batch_url == expected.replace("/collection/", "/collection/batch/")
    assert inlet.inlet_id == "abc"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "abc",
        "https://dcs.adobedc.net/collection",
        "https://dcs.adobedc.net/collection/",
        "https://dcs.adobedc.net/collection/<inletId>",
        "ftp://dcs.adobedc.net/collection/abc",
        "https://user:pw@dcs.adobedc.net/collection/abc",
        "https://dcs.adobedc.net/collection/abc/def",
    ],
)
def test_a_url_of_no_inlet_is_refused(url: str) -> None:
    """The placeholder of the documentation, other paths and schemes, and passwords in the URL."""
    assert problems(aep={"inlet_url": url})[0].startswith("aep.inlet_url")


def test_an_unchanged_topic_uses_the_default_inlet() -> None:
    """Inlets that come out equal are one: they share a window, a token and connections."""
    configured = settings(
        topics=[
            "a",
            {"topic": "b", "aep": {}},
            {"topic": "c", "aep": {"inlet_url": INLET + "/"}},
            {"topic": "d", "aep": {"ims_org_id": "o"}},
        ]
    )
    inlets = [configured.inlet_for(entry) for entry in configured.topics]

    assert inlets[:3] == [configured.aep] * 3
    assert len({inlet.identity for inlet in inlets}) == 2
    assert inlets[3] != configured.aep


def test_a_topic_overrides_any_key_of_the_inlet() -> None:
    """Headers are merged, whatever their case. Every other key is replaced; `auth: null` means none."""
    configured = settings(
        aep={
            "inlet_url": INLET,
            "ims_org_id": "o",
            "headers": {"X-Sandbox-Name": "prod", "x-flow": "1"},
            "auth": AUTH,
            "proxy_url": "http://proxy:3128",
        },
        topics=[
            {"topic": "a", "aep": {"auth": None, "headers": {"x-sandbox-name": "dev"}}},
            {
                "topic": "b",
                "aep": {
                    "inlet_url": "https://other.example/collection/bbbb",
                    "auth": {**AUTH, "client_id": "other"},
                    "proxy_url": "",
                },
            },
        ],
    )
    first, second = (configured.inlet_for(entry) for entry in configured.topics)

    assert first.auth is None
    assert first.ims_org_id == "o"
    assert first.header_values() == {"x-flow": "1", "x-sandbox-name": "dev"}
    assert first.proxy() == "http://proxy:3128"
    assert second.auth is not None
    assert (second.inlet_id, second.auth.client_id, second.proxy()) == ("bbbb", "other", "")


def test_a_proxy_file_takes_the_place_of_the_default_proxy(tmp_path: Path) -> None:
    """Only one of the two ways to name a proxy can be in force."""
    (tmp_path / "proxy").write_text("http://u:p@proxy:3128\n")
    configured = settings(
        aep={"inlet_url": INLET, "proxy_url": "http://default:3128"},
        topics=[{"topic": "a", "aep": {"proxy_url_file": str(tmp_path / "proxy")}}, "b"],
    )
    proxies = [configured.inlet_for(entry).proxy() for entry in configured.topics]
    without = settings().aep
    assert without is not None

    assert proxies == ["http://u:p@proxy:3128", "http://default:3128"]
    assert without.proxy() is None


@pytest.mark.parametrize(
    ("aep", "expected"),
    [
        ({"proxy_url": "socks5://proxy:1080"}, "aep.proxy_url"),
        ({"proxy_url": "https://proxy:1080"}, "aep.proxy_url"),
        ({"proxy_url": "http://u:hush@:99999999"}, "aep.proxy_url"),
        ({"proxy_url": "http://p:1", "proxy_url_file": "x"}, "aep.proxy_url: is given twice"),
        ({"client_key_file": "x"}, "aep.client_key_file: is the key of no certificate"),
        ({"max_messages_per_s": 0}, "aep.max_messages_per_s"),
        (
            {"auth": AUTH, "headers": {"Authorization": "Bearer x"}},
            "aep.headers.Authorization: auth sets this header",
        ),
        ({"auth": {**AUTH, "token_url": "ims"}}, "aep.auth.token_url"),
    ],
)
def test_a_wrong_inlet_is_refused(aep: dict[str, Any], expected: str) -> None:
    """Each mistake is reported under its own key, and without a secret in the text."""
    lines = problems(aep={"inlet_url": INLET, **aep})

    assert lines[0].startswith(expected), lines
    assert "hush" not in " ".join(lines)


def test_secrets_of_inlets_are_never_shown() -> None:
    """Not in a repr, a dump, the masked settings or the identity, each of which is logged or served."""
    headers = {
        "x-api-key": "hush-hush",
        "Cookie": "hush-hush",
        "X-Token": "hush-hush",
        "x-sandbox-name": "prod",
    }
    configured = settings(
        aep={
            "inlet_url": INLET,
            "auth": AUTH,
            "proxy_url": "http://u:hush-hush@proxy:1",
            "headers": headers,
        },
        topics=[{"topic": "a", "aep": {"headers": {"X-Secret": "hush-hush"}}}],
    )
    masked = configured.masked()
    dumps = (configured.model_dump(), configured.model_dump_json(), masked)
    identity = configured.inlet_for(configured.topics[0]).identity
    shown = f"{configured!r} {configured} {dumps} {identity}"
    assert configured.aep is not None

    assert "hush" not in shown
    assert "prod" in shown
    assert masked["topics"][0]["aep"] == {"headers": {"X-Secret": "**********"}}
    assert configured.aep.header_values()["x-api-key"] == "hush-hush"
