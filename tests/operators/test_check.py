"""`aep-bridge check` against a real broker and a local AEP."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trustme

from bridge.simulator import Config, Simulator
from tests.operators.conftest import Configure, aep_bridge, on_a_terminal, write
from tests.support.clients import unique
from tests.support.kafka import Kafka
from tests.support.proxy import ProxyServer
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)
NO_PROXY = dict.fromkeys(
    [f"{kind}_proxy" for kind in ("http", "https", "all")]
    + [f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL")],
    "",
)


def check(
    config: dict[str, Any], folder: Path, *options: str, **environ: str
) -> tuple[int, list[dict[str, str]], str]:
    """Exit code, findings, and what went to standard error."""
    done = aep_bridge(
        "check",
        "-c",
        write(config, folder / "bridge.yaml"),
        "-o",
        "json",
        *options,
        code=None,
        **{**NO_PROXY, **environ},
    )
    return done.returncode, json.loads(done.stdout or "[]"), done.stderr


def one(found: list[dict[str, str]], what: str) -> dict[str, str]:
    """The finding of this name."""
    (finding,) = [each for each in found if each["what"] == what]
    return finding


def test_a_sound_set_up_is_all_ok(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Brokers, topics, permissions, dead-letter topic, group, token and inlet: one line each, exit code 0."""
    topic = kafka.clients.create_topic(unique("check"), 3)
    with Simulator(Config(require_auth=True)) as sim:
        kafka.clients.produce(topic, [envelope("x", sim.config.org)])
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret": sim.config.client_secrets[0],
            "scope": "openid",
        }
        code, found, error = check(configure(sim, topic, aep={"auth": auth}), tmp_path, "--send-test", topic)

        assert list(sim.accepted) == ["x"]
    assert (0, set(), "") == (code, {each["what"] for each in found if each["level"] == "FAIL"}, error)
    assert {each["what"] for each in found} >= {
        "configuration",
        "environment",
        "memory",
        "brokers",
        "partitions",
        "proxy of inlet 0123456789ab",
        f"topic {topic}",
        f"dead-letter topic {topic}.dlq",
        f"test from {topic}",
    }


def test_what_is_wrong_is_named_with_what_to_do(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A missing topic, a compacted dead-letter topic, a wrong secret: FAIL, and exit code 1."""
    topic = kafka.clients.create_topic(unique("bad"), 1)
    kafka.clients.create_topic(f"{topic}.dlq", 1, cleanup_policy="compact")
    with Simulator(Config(require_auth=True)) as sim:
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret": "not-the-secret",
            "scope": "openid",
        }
        code, found, error = check(configure(sim, topic, "no-such-topic", aep={"auth": auth}), tmp_path)
    failed = {each["what"]: each["found"] for each in found if each["level"] == "FAIL"}

    assert code == 1
    assert failed.keys() >= {"topic no-such-topic", f"dead-letter topic {topic}.dlq"}
    assert "invalid" in next(text for what, text in failed.items() if what.startswith("token"))
    assert "not-the-secret" not in json.dumps(found) + error


def test_brokers_that_are_away_are_exit_code_3(configure: Configure, tmp_path: Path) -> None:
    """An upstream that can't be reached is told apart from one that is set up wrong."""
    with Simulator(Config()) as sim:
        code, found, error = check(configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"}), tmp_path)
        offline, _, _ = check(
            configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"}), tmp_path, "--offline"
        )

    assert (3, 0) == (code, offline)
    assert any(each["what"] == "brokers" and each["do"] for each in found)
    assert error == ""


def test_on_a_terminal_and_for_scripts(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A line for each finding on a terminal, JSON in a pipe; a configuration that is wrong is FAIL in both, with file, line and column; partitions against replicas."""
    topic = kafka.clients.create_topic(unique("lines"), 2)
    with Simulator(Config()) as sim:
        file = write(configure(sim, topic), tmp_path / "bridge.yaml")
        with on_a_terminal("check", "-c", file, "--replicas", "5", **NO_PROXY) as terminal:
            terminal.expect("ok    configuration: ")
            terminal.expect("WARN  partitions: 2 in all, for 5 replicas: 3 of them would have nothing to do")
            terminal.expect("→ plan at most 2 replicas")
            assert terminal.wait() == 0
        found = json.loads(aep_bridge("check", "-c", file, "--replicas", "2").stdout)
        assert one(found, "partitions")["level"] == "ok"
    (tmp_path / "bad.yaml").write_text(file.read_text().replace("inlet_url", "inlet_uri"))
    (wrong, *_) = json.loads(aep_bridge("check", "-c", tmp_path / "bad.yaml", code=2).stdout)
    assert ("FAIL", "configuration") == (wrong["level"], wrong["what"])
    assert f"{tmp_path / 'bad.yaml'}:" in wrong["found"]
    with on_a_terminal("check", "-c", tmp_path / "bad.yaml") as terminal:
        terminal.expect("FAIL  configuration: ")
        assert terminal.wait() == 2


def test_the_proxy_in_use_is_told(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The variable's or the setting's, used for token and inlet; one that is away is exit code 3 and the inlet is not blamed; a wrong password is 407."""
    topic = kafka.clients.create_topic(unique("proxied"), 1)
    with (
        Simulator(Config(require_auth=True)) as sim,
        ProxyServer("user:right") as proxy,
        ProxyServer() as down,
    ):
        down.__exit__(None, None, None)
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret": sim.config.client_secrets[0],
            "scope": "openid",
        }
        config = configure(sim, topic, aep={"auth": auth})
        name = "proxy of inlet 0123456789ab"

        code, found, _ = check(config, tmp_path, http_proxy=proxy.address("user:right"))
        assert (0, "ok") == (code, one(found, name)["level"])
        assert (
            one(found, name)["found"]
            == f"127.0.0.1:{proxy.port}, by http_proxy, with a password: takes connections"
        )
        assert len(proxy.request_lines) >= 2

        code, found, _ = check(config, tmp_path, http_proxy=down.address())
        assert (3, "FAIL") == (code, one(found, name)["level"])
        assert "NO_PROXY" in one(found, name)["do"]
        assert not [each for each in found if each["what"].startswith(("inlet", "token"))]

        code, found, error = check(
            {**config, "aep": {**config["aep"], "proxy_url": proxy.address("user:canary")}}, tmp_path
        )
        assert (
            one(found, name)["found"]
            == f"127.0.0.1:{proxy.port}, by aep.proxy_url, with a password: takes connections"
        )
        assert code >= 1
        assert "407" in json.dumps(found)
        assert "canary" not in json.dumps(found) + error

        code, found, _ = check(config, tmp_path, http_proxy=down.address(), no_proxy="127.0.0.1")
        assert (code, "NO_PROXY takes 127.0.0.1 out of http_proxy" in one(found, name)["found"]) == (0, True)


def test_the_clock_is_held_against_the_inlet(configure: Configure, tmp_path: Path) -> None:
    """By the inlet's own Date: a skew that tokens and Retry-After suffer from is a warning."""
    with Simulator(Config()) as sim:
        config = configure(sim, "t")
        code, found, error = check(config, tmp_path)
        assert (1, "ok", "FAIL", "") == (
            code,
            one(found, "clock")["level"],
            one(found, "topic t")["level"],
            error,
        )
        sim.configure({"clock_skew_s": 600})
        clock = one(check(config, tmp_path)[1], "clock")

    assert ("WARN", True) == (clock["level"], clock["found"].startswith(("-600 s", "-599 s", "-601 s")))
    assert "synchronise" in clock["do"]


def test_the_environment_is_looked_at(configure: Configure, tmp_path: Path) -> None:
    """What looks like ours and is none, and references that nobody fills in, with the nearest known name."""
    with Simulator(Config()) as sim:
        config = configure(sim, "t")
        config["topics"][0]["dataset_id"] = "${DATASET}"
        code, found, _ = check(config, tmp_path, "--offline", AEPBRIDGE_BATCH__LINGER_MS="1", DATASETS="x")

    assert code == 0
    assert (
        one(found, "environment AEPBRIDGE_BATCH__LINGER_MS")["do"]
        == "did you mean AEP_BRIDGE_BATCH__LINGER_MS?"
    )
    assert "topics[0].dataset_id" in one(found, "environment ${DATASET}")["found"]
    assert "(it has DATASETS)" in one(found, "environment ${DATASET}")["found"]


@pytest.mark.parametrize(
    ("change", "code", "told", "do"),
    [
        ("password", 1, "Authentication failed", "sasl.password_file"),
        ("authority", 1, "certificate verify failed", "ssl.ca.location"),
        ("ELSEWHERE", 1, "is not valid for '127.0.0.1'", "advertised.listeners"),
        ("EXPIRED", 1, "certificate has expired", "clock"),
        (
            "MUTUAL",
            1,
            "alert (bad certificate|certificate required)",
            "ssl.certificate.location",
        ),  # as the broker's Java will have it
        ("mechanism", 1, "Unsupported SASL mechanism", "sasl.mechanism"),
        ("protocol", 3, "closed without a word", "security.protocol"),
        ("name", 3, "Failed to resolve", "DNS"),
    ],
)
def test_brokers_that_refuse_are_told_from_those_that_are_away(
    change: str, code: int, told: str, do: str, secure_kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A wrong password, an unknown authority, a certificate for another name, an expired one, none of ours where one is wanted, another mechanism, no TLS
    where TLS is wanted, an unknown name: each with its cause and the setting to look at."""
    properties: dict[str, str] = secure_kafka.properties(change if change.isupper() else "SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    if change == "password":
        properties["sasl.password"] = "password-canary"
    elif change == "authority":
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        properties["ssl.ca.location"] = str(tmp_path / "other.pem")
    elif change == "MUTUAL":
        del properties["ssl.certificate.location"], properties["ssl.key.location"]
    elif change == "mechanism":
        properties["sasl.mechanism"] = "PLAIN"
    elif change == "protocol":
        properties = {}
    elif change == "name":
        servers = "no-such-host.invalid:9092"
    with Simulator(Config()) as sim:
        ended, found, error = check(
            configure(sim, "t", kafka={"bootstrap_servers": servers, "properties": properties}), tmp_path
        )
    brokers = one(found, "brokers")

    assert ("FAIL", code) == (brokers["level"], ended)
    assert re.search(told, brokers["found"])
    assert do in brokers["do"]
    assert one(found, "inlet 0123456789ab")["level"] == "ok"
    assert "password-canary" not in json.dumps(found) + error


def test_nothing_is_sent_offline(tmp_path: Path) -> None:
    """`--offline` with `--send-test` is wrong use, said before anything is looked at: the test was not made, and must not seem to have passed."""
    done = aep_bridge("check", "-c", tmp_path / "none.yaml", "--offline", "--send-test", "t", code=2)

    assert done.stdout == ""
    assert "--offline and --send-test exclude each other" in done.stderr
