"""Inlets: their URLs, credentials and headers, and what a topic has different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.config.settings_aep import AepSettings
from tests.unit.config.test_settings import INLET, problems, settings

AUTH = {"token_url": "https://ims.example/token", "client_id": "id", "client_secret": "hush-hush"}


@pytest.mark.parametrize(
    ("given", "kept"),
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
def test_an_inlet_is_known_by_either_of_its_urls(given: str, kept: str) -> None:
    """The single and the batch endpoint, with or without a query or a slash behind."""
    found = AepSettings(inlet_url=given)

    assert kept == found.inlet_url == found.single_url
    assert kept.replace("/collection/", "/collection/batch/") == found.batch_url
    assert "abc" == found.inlet_id


@pytest.mark.parametrize(
    "given",
    ["", "abc", "https://dcs.adobedc.net/collection", "https://dcs.adobedc.net/collection/", "https://dcs.adobedc.net/collection/<inletId>",
     "ftp://dcs.adobedc.net/collection/abc", "https://user:pw@dcs.adobedc.net/collection/abc", "https://dcs.adobedc.net/collection/abc/def"],
)  # fmt: skip
def test_what_is_no_inlet_is_refused(given: str) -> None:
    """The placeholder of the documentation, other paths and schemes, and passwords in the URL."""
    assert problems(aep={"inlet_url": given})[0].startswith("aep.inlet_url")


def test_exactly_one_client_secret_is_given() -> None:
    """In the configuration or in a file; not in both, nor in none."""
    without = {name: value for name, value in AUTH.items() if name != "client_secret"}

    assert "exactly one of" in problems(aep={"inlet_url": INLET, "auth": without})[0]
    assert (
        "exactly one of" in problems(aep={"inlet_url": INLET, "auth": {**AUTH, "client_secret_file": "x"}})[0]
    )


def test_a_secret_file_is_read_on_each_use(tmp_path: Path) -> None:
    """A rotated secret is taken without a restart; white space around it doesn't count; an empty file is an error."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    auth = settings(
        aep={"inlet_url": INLET, "auth": {**AUTH, "client_secret": None, "client_secret_file": str(file)}}
    ).aep.auth
    assert auth is not None
    assert "first" == auth.secret()
    file.write_text("second")
    assert "second" == auth.secret()
    file.write_text(" \n")
    with pytest.raises(OSError, match="is empty"):
        auth.secret()


def test_an_unchanged_topic_uses_the_default_inlet() -> None:
    """And inlets that come out equal are one: they share a window, a token and connections."""
    found = settings(
        topics=[
            "a",
            {"topic": "b", "aep": {}},
            {"topic": "c", "aep": {"inlet_url": INLET + "/"}},
            {"topic": "d", "aep": {"ims_org_id": "o"}},
        ]
    )
    inlets = [found.inlet_for(entry) for entry in found.topics]

    assert [found.aep] * 3 == inlets[:3]
    assert 2 == len({inlet.identity for inlet in inlets})
    assert found.aep != inlets[3]


def test_a_topic_overrides_any_key_of_the_inlet() -> None:
    """Headers are merged, whatever their case; everything else is replaced; `auth: null` is an inlet without authentication."""
    found = settings(
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
    first, second = (found.inlet_for(entry) for entry in found.topics)

    assert (None, "o", {"x-flow": "1", "x-sandbox-name": "dev"}, "http://proxy:3128") == (
        first.auth,
        first.ims_org_id,
        first.header_values(),
        first.proxy(),
    )
    assert second.auth is not None
    assert ("bbbb", "other", "") == (second.inlet_id, second.auth.client_id, second.proxy())


def test_a_header_file_holds_what_a_header_can_have(tmp_path: Path) -> None:
    """Anything else is told with the file's name, and without what it holds."""
    file = tmp_path / "key"
    file.write_text("schlüssel")
    found = settings(aep={"inlet_url": INLET, "headers": {"x-api-key_file": str(file), "x-a": "1"}}).aep

    assert [file] == found.header_files
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        found.header_values()
    assert str(file) in str(caught.value)
    assert "schl" not in str(caught.value).replace(str(file), "")


def test_a_proxy_file_takes_the_place_of_the_default_proxy(tmp_path: Path) -> None:
    """And the other way round: one of the two is in force."""
    (tmp_path / "proxy").write_text("http://u:p@proxy:3128\n")
    found = settings(
        aep={"inlet_url": INLET, "proxy_url": "http://default:3128"},
        topics=[{"topic": "a", "aep": {"proxy_url_file": str(tmp_path / "proxy")}}, "b"],
    )

    assert ["http://u:p@proxy:3128", "http://default:3128"] == [
        found.inlet_for(entry).proxy() for entry in found.topics
    ]
    assert None is settings().aep.proxy()


@pytest.mark.parametrize(
    ("aep", "told"),
    [
        ({"proxy_url": "socks5://proxy:1080"}, "aep.proxy_url"),
        ({"proxy_url": "https://proxy:1080"}, "aep.proxy_url"),
        ({"proxy_url": "http://u:hush@:99999999"}, "aep.proxy_url"),
        ({"proxy_url": "http://p:1", "proxy_url_file": "x"}, "aep.proxy_url: is given twice"),
        ({"client_key_file": "x"}, "aep.client_key_file: is the key of no certificate"),
        ({"max_messages_per_s": 0}, "aep.max_messages_per_s"),
        ({"headers": {"content-length": "1"}}, "aep.headers.content-length: is set by the bridge itself"),
        ({"headers": {"x y": "1"}}, "aep.headers.x y: is not a header's name"),
        ({"headers": {"x": "a\nb"}}, "aep.headers.x: must be printable ASCII"),
        ({"headers": {"x": None}}, "aep.headers.x: must be text"),
        ({"headers": {"x": "1", "X": "2"}}, "aep.headers.x: is given twice"),
        ({"headers": {"x": "1", "x_file": "y"}}, "aep.headers.x_file: is given twice"),
        (
            {"auth": AUTH, "headers": {"Authorization": "Bearer x"}},
            "aep.headers.Authorization: auth sets this header",
        ),
        ({"auth": {**AUTH, "token_url": "ims"}}, "aep.auth.token_url"),
    ],
)
def test_a_wrong_inlet_is_refused(aep: dict[str, Any], told: str) -> None:
    """Each mistake under its own key, and no secret in the text."""
    found = problems(aep={"inlet_url": INLET, **aep})

    assert found[0].startswith(told), found
    assert "hush" not in " ".join(found)


def test_an_override_that_contradicts_the_default_is_refused() -> None:
    """What a topic ends up with is checked, not only what it says."""
    found = problems(
        aep={"inlet_url": INLET, "auth": AUTH},
        topics=[{"topic": "a", "aep": {"headers": {"authorization": "x"}}}],
    )

    assert ["topics.0.aep.headers.authorization: auth sets this header; leave one of them out"] == found


def test_headers_come_from_files_too(tmp_path: Path) -> None:
    """`x-api-key_file` is the header x-api-key with what the file holds."""
    (tmp_path / "key").write_text("abc\n")
    found = settings(aep={"inlet_url": INLET, "headers": {"x-api-key_file": str(tmp_path / "key"), "a": "b"}})

    assert {"x-api-key": "abc", "a": "b"} == found.aep.header_values()


def test_secrets_of_inlets_are_never_shown() -> None:
    """Not in a repr, a dump, the masked settings or the identity."""
    found = settings(
        aep={
            "inlet_url": INLET,
            "auth": AUTH,
            "proxy_url": "http://u:hush-hush@proxy:1",
            "headers": {
                "x-api-key": "hush-hush",
                "Cookie": "hush-hush",
                "X-Token": "hush-hush",
                "x-sandbox-name": "prod",
            },
        },
        topics=[{"topic": "a", "aep": {"headers": {"X-Secret": "hush-hush"}}}],
    )
    shown = " ".join(
        map(
            str,
            (
                repr(found),
                found,
                found.masked(),
                found.model_dump(),
                found.model_dump_json(),
                found.inlet_for(found.topics[0]).identity,
            ),
        )
    )

    assert "hush" not in shown
    assert "prod" in shown
    assert {"headers": {"X-Secret": "**********"}} == found.masked()["topics"][0]["aep"]
    assert "hush-hush" == found.aep.header_values()["x-api-key"]
