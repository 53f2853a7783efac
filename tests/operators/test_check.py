"""`aep-bridge check` against a real broker and a local AEP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.simulator import Config, Simulator
from tests.end_to_end.conftest import configure  # noqa: F401
from tests.support.clients import unique
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def check(config: dict[str, Any], folder: Path, *options: str) -> tuple[int, list[dict[str, str]], str]:
    """Exit code, findings, and what went to standard error."""
    path = folder / "bridge.yaml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run([sys.executable, "-m", "bridge", "check", "-c", str(path), "-o", "json", *options], capture_output=True, text=True, timeout=90)
    return done.returncode, json.loads(done.stdout or "[]"), done.stderr


def test_a_sound_set_up_is_all_ok(kafka: Kafka, configure: Any, tmp_path: Path) -> None:
    """Brokers, topics, permissions, dead-letter topic, group, token and inlet: one line each, exit code 0."""
    topic = kafka.clients.create_topic(unique("check"), 3)
    with Simulator(Config(require_auth=True)) as sim:
        kafka.clients.produce(topic, [envelope("x", sim.config.org)])
        auth = {"token_url": sim.token_url, "client_id": sim.config.client_id, "client_secret": sim.config.client_secrets[0], "scope": "openid"}
        code, found, error = check(configure(sim, topic, aep={"auth": auth}), tmp_path, "--send-test", topic)

        assert ["x"] == list(sim.accepted)
    assert (0, set(), "") == (code, {each["what"] for each in found if each["level"] == "FAIL"}, error)
    assert {"configuration", "memory", "brokers", f"topic {topic}", f"dead-letter topic {topic}.dlq", f"test from {topic}"} <= {each["what"] for each in found}


def test_what_is_wrong_is_named_with_what_to_do(kafka: Kafka, configure: Any, tmp_path: Path) -> None:
    """A missing topic, a compacted dead-letter topic, a wrong secret: FAIL, and exit code 1."""
    topic = kafka.clients.create_topic(unique("bad"), 1)
    kafka.clients.create_topic(f"{topic}.dlq", 1, cleanup_policy="compact")
    with Simulator(Config(require_auth=True)) as sim:
        auth = {"token_url": sim.token_url, "client_id": sim.config.client_id, "client_secret": "not-the-secret", "scope": "openid"}
        code, found, error = check(configure(sim, topic, "no-such-topic", aep={"auth": auth}), tmp_path)
    failed = {each["what"]: each["found"] for each in found if each["level"] == "FAIL"}

    assert 1 == code
    assert {"topic no-such-topic", f"dead-letter topic {topic}.dlq"} <= failed.keys()
    assert "invalid" in next(text for what, text in failed.items() if what.startswith("token"))
    assert "not-the-secret" not in json.dumps(found) + error


def test_brokers_that_are_away_are_exit_code_3(configure: Any, tmp_path: Path) -> None:
    """An upstream that can't be reached is told apart from one that is set up wrong."""
    with Simulator(Config()) as sim:
        code, found, error = check(configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"}), tmp_path)
        offline, _, _ = check(configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"}), tmp_path, "--offline")

    assert (3, 0) == (code, offline)
    assert any(each["what"] == "brokers" and each["do"] for each in found)
    assert "" == error
