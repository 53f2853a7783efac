"""`aep-bridge check` against a real broker and a local AEP."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
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
_PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "all")]
NO_PROXY = dict.fromkeys([*_PROXIES, *map(str.upper, _PROXIES)], "")
INLET = "inlet 0123456789ab"


@dataclass(frozen=True)
class Checked:
    """What a check ended with."""

    code: int
    findings: list[dict[str, str]]
    error: str
    """What went to standard error."""

    def __getitem__(self, what: str) -> dict[str, str]:
        """Return the only finding of this name."""
        (finding,) = [finding for finding in self.findings if finding["what"] == what]
        return finding

    @property
    def names(self) -> set[str]:
        """What was looked at."""
        return {finding["what"] for finding in self.findings}

    @property
    def failures(self) -> dict[str, str]:
        """What failed, and what was found."""
        return {finding["what"]: finding["found"] for finding in self.findings if finding["level"] == "FAIL"}

    @property
    def everything(self) -> str:
        """All that was printed."""
        return json.dumps(self.findings) + self.error


def check(config: dict[str, Any], folder: Path, *options: str, **environ: str) -> Checked:
    """Run a check with a configuration."""
    file = write(config, folder / "bridge.yaml")
    done = aep_bridge("check", "-c", file, "-o", "json", *options, code=None, **{**NO_PROXY, **environ})
    return Checked(done.returncode, json.loads(done.stdout or "[]"), done.stderr)


def auth(sim: Simulator, secret: str = "") -> dict[str, str]:
    """Return the section `aep.auth` for a local AEP, with the right secret unless another is given."""
    return {
        "token_url": sim.token_url,
        "client_id": sim.config.client_id,
        "client_secret": secret or sim.config.client_secrets[0],
        "scope": "openid",
    }


def test_a_sound_set_up_is_all_ok(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Brokers, topics, permissions, dead-letter topic, group, token and inlet are one line each."""
    topic = kafka.clients.create_topic(unique("check"), 3)
    with Simulator(Config(require_auth=True)) as sim:
        kafka.clients.produce(topic, [envelope("x", sim.config.org)])
        config = configure(sim, topic, aep={"auth": auth(sim)})
        checked = check(config, tmp_path, "--send-test", topic)

        assert list(sim.accepted) == ["x"]
    assert (checked.code, checked.failures, checked.error) == (0, {}, "")
    assert checked.names >= {
        "configuration",
        "environment",
        "memory",
        "brokers",
        "partitions",
        f"proxy of {INLET}",
        f"topic {topic}",
        f"dead-letter topic {topic}.dlq",
        f"test from {topic}",
    }


def test_what_is_wrong_is_named_with_what_to_do(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A missing topic, a compacted dead-letter topic and a wrong secret are FAIL, and exit code 1."""
    topic = kafka.clients.create_topic(unique("bad"), 1)
    kafka.clients.create_topic(f"{topic}.dlq", 1, cleanup_policy="compact")
    with Simulator(Config(require_auth=True)) as sim:
        config = configure(sim, topic, "no-such-topic", aep={"auth": auth(sim, "not-the-secret")})
        checked = check(config, tmp_path)

    assert checked.code == 1
    assert checked.failures.keys() >= {"topic no-such-topic", f"dead-letter topic {topic}.dlq"}
    assert "invalid" in checked.failures[f"token for {INLET}"]
    assert "not-the-secret" not in checked.everything


def test_brokers_that_are_away_are_exit_code_3(configure: Configure, tmp_path: Path) -> None:
    """An upstream that can't be reached is another case than one that is set up wrong."""
    with Simulator(Config()) as sim:
        config = configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"})
        checked = check(config, tmp_path)
        offline = check(config, tmp_path, "--offline")

    assert (checked.code, offline.code) == (3, 0)
    assert checked["brokers"]["do"]
    assert checked.error == ""


def test_on_a_terminal_and_for_scripts(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A terminal shows a line for each finding, a pipe gets JSON.

    A configuration that is wrong is FAIL in both, with file, line and column.
    """
    topic = kafka.clients.create_topic(unique("lines"), 2)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        file = write(config, tmp_path / "bridge.yaml")
        with on_a_terminal("check", "-c", file, "--replicas", "5", **NO_PROXY) as terminal:
            terminal.expect("ok    configuration: ")
            terminal.expect("WARN  partitions: 2 in all, for 5 replicas: 3 of them would have nothing to do")
            terminal.expect("→ plan at most 2 replicas")
            assert terminal.wait() == 0
        assert check(config, tmp_path, "--replicas", "2")["partitions"]["level"] == "ok"
    bad = tmp_path / "bad.yaml"
    bad.write_text(file.read_text().replace("inlet_url", "inlet_uri"))
    (wrong, *_) = json.loads(aep_bridge("check", "-c", bad, code=2).stdout)
    assert (wrong["level"], wrong["what"]) == ("FAIL", "configuration")
    assert f"{bad}:" in wrong["found"]
    with on_a_terminal("check", "-c", bad) as terminal:
        terminal.expect("FAIL  configuration: ")
        assert terminal.wait() == 2


def test_the_proxy_in_use_is_named(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The variable or the setting that decides is named; token and inlet are asked through its proxy.

    A proxy that is away is exit code 3, and the inlet is not blamed; a wrong password for the proxy is 407.
    """
    topic = kafka.clients.create_topic(unique("proxied"), 1)
    with (
        Simulator(Config(require_auth=True)) as sim,
        ProxyServer("user:right") as proxy,
        ProxyServer() as down,
    ):
        down.__exit__(None, None, None)
        config = configure(sim, topic, aep={"auth": auth(sim)})
        name, address = f"proxy of {INLET}", f"127.0.0.1:{proxy.port}"

        checked = check(config, tmp_path, http_proxy=proxy.address("user:right"))
        assert checked.code == 0
        assert checked[name]["level"] == "ok"
        assert checked[name]["found"] == f"{address}, by http_proxy, with a password: takes connections"
        assert len(proxy.request_lines) >= 2

        checked = check(config, tmp_path, http_proxy=down.address())
        assert checked.code == 3
        assert checked[name]["level"] == "FAIL"
        assert "NO_PROXY" in checked[name]["do"]
        assert not [what for what in checked.names if what.startswith(("inlet", "token"))]

        aep = {**config["aep"], "proxy_url": proxy.address("user:canary")}
        checked = check({**config, "aep": aep}, tmp_path)
        assert checked[name]["found"] == f"{address}, by aep.proxy_url, with a password: takes connections"
        assert checked.code >= 1
        assert "407" in checked.everything
        assert "canary" not in checked.everything

        checked = check(config, tmp_path, http_proxy=down.address(), no_proxy="127.0.0.1")
        assert checked.code == 0
        assert "NO_PROXY takes 127.0.0.1 out of http_proxy" in checked[name]["found"]


def test_the_clock_is_compared_with_the_inlet(configure: Configure, tmp_path: Path) -> None:
    """By the inlet's own Date: a skew that tokens and Retry-After suffer from is a warning."""
    with Simulator(Config()) as sim:
        config = configure(sim, "t")
        checked = check(config, tmp_path)
        assert (checked.code, checked.error) == (1, "")
        assert checked["clock"]["level"] == "ok"
        assert checked["topic t"]["level"] == "FAIL"
        sim.configure({"clock_skew_s": 600})
        clock = check(config, tmp_path)["clock"]

    assert clock["level"] == "WARN"
    assert clock["found"].startswith(("-600 s", "-599 s", "-601 s"))
    assert "synchronise" in clock["do"]


def test_the_environment_is_looked_at(configure: Configure, tmp_path: Path) -> None:
    """A variable that only looks like ours, and a reference that nobody fills in, are
    named with the nearest name.
    """
    with Simulator(Config()) as sim:
        config = configure(sim, "t")
        config["topics"][0]["dataset_id"] = "${DATASET}"
        checked = check(config, tmp_path, "--offline", AEPBRIDGE_BATCH__LINGER_MS="1", DATASETS="x")
    similar, reference = (
        checked["environment AEPBRIDGE_BATCH__LINGER_MS"],
        checked["environment ${DATASET}"],
    )

    assert checked.code == 0
    assert similar["do"] == "did you mean AEP_BRIDGE_BATCH__LINGER_MS?"
    assert "topics[0].dataset_id" in reference["found"]
    assert "(it has DATASETS)" in reference["found"]


@pytest.mark.parametrize(
    ("change", "code", "text", "next_step"),
    [
        ("password", 1, "Authentication failed", "sasl.password_file"),
        ("authority", 1, "certificate verify failed", "ssl.ca.location"),
        ("ELSEWHERE", 1, "is not valid for '127.0.0.1'", "advertised.listeners"),
        ("EXPIRED", 1, "certificate has expired", "clock"),
        # Which of the two the broker sends depends on its Java.
        ("MUTUAL", 1, "alert (bad certificate|certificate required)", "ssl.certificate.location"),
        ("mechanism", 1, "Unsupported SASL mechanism", "sasl.mechanism"),
        ("protocol", 3, "closed without a word", "security.protocol"),
        ("name", 3, "Failed to resolve", "DNS"),
    ],
)
def test_brokers_that_refuse_are_another_case_than_brokers_that_are_away(
    change: str,
    code: int,
    text: str,
    next_step: str,
    secure_kafka: Kafka,
    configure: Configure,
    tmp_path: Path,
) -> None:
    """Each has its cause and the setting to look at.

    A wrong password, an unknown authority, a certificate for another name, an expired one, none of ours
    where one is wanted, another mechanism, no TLS where TLS is wanted, an unknown name.
    """
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
        config = configure(sim, "t", kafka={"bootstrap_servers": servers, "properties": properties})
        checked = check(config, tmp_path)
    brokers = checked["brokers"]

    assert (brokers["level"], checked.code) == ("FAIL", code)
    assert re.search(text, brokers["found"])
    assert next_step in brokers["do"]
    assert checked[INLET]["level"] == "ok"
    assert "password-canary" not in checked.everything


def test_nothing_is_sent_offline(tmp_path: Path) -> None:
    """`--offline` with `--send-test` is wrong use, and nothing is checked.

    The test would not be made, and must not seem to have passed.
    """
    done = aep_bridge("check", "-c", tmp_path / "none.yaml", "--offline", "--send-test", "t", code=2)

    assert done.stdout == ""
    assert "--offline and --send-test exclude each other" in done.stderr
