"""What `check` says of the environment, of proxies and of replicas, without a connection."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from bridge.check import Level, offline
from bridge.check.inlets import check_response
from bridge.check.proxy import check_proxies
from bridge.check.surroundings import most_similar_variable, references
from bridge.check.topics import check_replicas
from bridge.config.settings_aep import AepSettings
from tests.support.settings import settings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AEPBRIDGE_BATCH__LINGER_MS", "AEP_BRIDGE_BATCH__LINGER_MS"),
        ("AEP_BRIGE_KAFKA__GROUP_ID", "AEP_BRIDGE_KAFKA__GROUP_ID"),
        ("AEP_KAFKA__GROUP_ID", "AEP_BRIDGE_KAFKA__GROUP_ID"),
        ("aep_bridge_kafka__group_id", "AEP_BRIDGE_KAFKA__GROUP_ID"),
        ("AEP-BRIDGE-CONFIG", "AEP_BRIDGE_CONFIG"),
        ("AEP_BRIDG_NONSENSE", "AEP_BRIDGE_SECTION__KEY"),
        ("PATH", ""),
        ("KUBERNETES_SERVICE_HOST", ""),
        ("AEP_ORG", ""),
        ("OTHER__APP__PORT", ""),
    ],
)
def test_a_variable_that_looks_like_ours_is_named_with_what_was_meant(name: str, meant: str) -> None:
    """What is misspelt in its first part is not refused at start, since it is nobody's; `check` sees it."""
    assert most_similar_variable(name) == meant


def test_the_environment_is_told_without_values() -> None:
    """Variables that count, those that only look so, and references that nobody fills in: by
    name, never with their values.
    """
    made = settings(
        kafka={"bootstrap_servers": "a:1", "properties": {"sasl.password": "x${KAFKA_SECRET}"}},
        topics=[{"topic": "t", "dataset_id": "${DATASET}"}],
    )
    environ = {
        "AEP_BRIDGE_BATCH__LINGER_MS": "value-canary",
        "AEPBRIDGE_BATCH__LINGER_MS": "value-canary",
        "DATASETS": "d",
        "KAFKA_SECRET": "value-canary",
    }
    found = [finding for finding in offline(made, environ) if finding.subject.startswith("environment")]

    assert [finding.level for finding in found] == [Level.OK, Level.WARN, Level.WARN, Level.WARN]
    assert "AEP_BRIDGE_BATCH__LINGER_MS" in found[0].text
    assert found[1].next_step == "did you mean AEP_BRIDGE_BATCH__LINGER_MS?"
    assert "kafka.properties.sasl.password" in found[2].text
    assert "has no" not in found[2].text
    assert "AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWORD" in found[2].next_step
    assert "has no DATASET (it has DATASETS)" in found[3].text
    assert "AEP_BRIDGE_TOPICS__0__DATASET_ID" in found[3].next_step
    assert "value-canary" not in repr(found)
    assert [finding.text for finding in offline(settings(), {}) if finding.subject == "environment"] == [
        "no variable of ours is set"
    ]


def test_a_dollar_alone_is_no_reference() -> None:
    """A regex, a price, an empty pair of braces."""
    assert list(references({"a": "^shop-.*$", "b": "$5", "c": "${}", "d": "{X}"})) == []


def test_replicas_are_held_against_partitions() -> None:
    """More replicas than partitions is a warning with the number that has work; a fitting number
    and an unknown one are fine.
    """
    assert (
        (warn := check_replicas(4, 6)).level,
        "2 of them" in warn.text and "at most 4" in warn.next_step,
    ) == (Level.WARN, True)
    assert (Level.OK, "4 in all, for 3 replicas: up to 2 each") == (
        (fits := check_replicas(4, 3)).level,
        fits.text,
    )
    assert Level.OK == check_replicas(4, 4).level
    assert "at most 4 replicas have work" in check_replicas(4, 0).text


def told(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], **aep: Any) -> list[tuple[str, str, str]]:
    """Level, what and found of each finding, for an inlet and a token endpoint on different hosts."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for spelt in (name, name.upper()):
            monkeypatch.delenv(spelt, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    auth = {"token_url": "https://ims.example/token", "client_id": "c", "client_secret": "s"}
    made = AepSettings.model_validate({"inlet_url": "https://dcs.example/collection/x", "auth": auth, **aep})
    return [
        (str(finding.level), finding.subject, finding.text)
        for finding in check_proxies(made, "inlet x", environ)
    ]


def test_which_proxy_applies_and_who_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting before the variable; NO_PROXY for one of the two endpoints alone; an empty setting; no
    password shown; one that is away is FAIL.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = f"127.0.0.1:{listener.getsockname()[1]}"

        assert told(monkeypatch, {}) == [
            (
                "ok",
                "proxy of inlet x",
                "none: neither aep.proxy_url nor HTTPS_PROXY is set; connects directly",
            )
        ]
        assert told(
            monkeypatch, {"HTTPS_PROXY": f"http://u:canary@{here}", "HTTP_PROXY": "http://other:1"}
        ) == [("ok", "proxy of inlet x", f"{here}, by HTTPS_PROXY, with a password: takes connections")]
        assert told(monkeypatch, {"https_proxy": f"http://{here}", "NO_PROXY": "ims.example"}) == [
            ("ok", "proxy of inlet x (inlet)", f"{here}, by https_proxy: takes connections"),
            (
                "ok",
                "proxy of inlet x (token endpoint)",
                "none: NO_PROXY takes ims.example out of https_proxy; connects directly",
            ),
        ]
        assert told(monkeypatch, {"HTTPS_PROXY": "http://other:1"}, proxy_url=f"http://{here}") == [
            ("ok", "proxy of inlet x", f"{here}, by aep.proxy_url: takes connections")
        ]
        assert (
            "aep.proxy_url is empty"
            in told(monkeypatch, {"HTTPS_PROXY": "http://other:1"}, proxy_url="")[0][2]
        )
    gone = told(monkeypatch, {"ALL_PROXY": f"http://{here}"})
    assert gone == [("FAIL", "proxy of inlet x", f"{here}, by ALL_PROXY: Connection refused")]
    assert (
        "other kinds of proxy are not supported" in told(monkeypatch, {"HTTPS_PROXY": "socks5://p:1"})[0][2]
    )


@pytest.mark.parametrize(
    "date", ["garbage", "", "Tue, 99 Nov 2026 10:00:00 GMT", "Tue, 24 Nov 2026 10:00:00", "0"]
)
def test_a_date_that_is_none_ends_no_check(date: str) -> None:
    """Whatever a gateway writes there: the inlet is judged, and the clock said to be
    unknown where it can't be told.
    """
    client = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(400, headers={"date": date}))
    )
    found = list(
        check_response(client, AepSettings(inlet_url="https://inlet.example/collection/abc"), {}, "inlet abc")
    )

    assert [each.subject for each in found] == ["clock", "inlet abc"]
    assert Level.FAIL not in {each.level for each in found}
    assert found[0].level is Level.WARN
