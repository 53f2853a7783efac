"""`aep-bridge dlq` on a real broker: dead letters are read, grouped, exported, and
replayed, each record once.
"""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.operators.conftest import ROOT, Configure, aep_bridge, write
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(150)


def dead_letter(
    kafka: Kafka, config: dict[str, Any], topic: str, values: list[bytes], tmp_path: Path
) -> None:
    """Produce records that are refused, and run the bridge until all of them are in the dead-letter topic."""
    kafka.clients.produce(topic, values, key=b"k", headers=[("trace", b"\x00\xff")])
    group = config["kafka"]["group_id"]
    with Bridge(config, tmp_path) as bridge:
        until(lambda: kafka.clients.committed(group, topic).get(0) == len(values), 60, bridge.tail())
        assert bridge.stop() == 0


class Dlq:
    """The commands of `aep-bridge dlq` with one configuration."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self._file = write(config, folder / "bridge.yaml")

    def text(self, command: str, *options: object) -> str:
        """Return what a command prints, in the form that it chooses in a pipe."""
        return aep_bridge("dlq", command, "-c", self._file, *options).stdout

    def table(self, command: str, *options: object) -> str:
        """Return what a command prints for people."""
        return self.text(command, *options, "-o", "table")

    def json(self, command: str, *options: object, code: int = 0) -> Any:
        """Return what a command prints for scripts."""
        done = aep_bridge("dlq", command, "-c", self._file, *options, "-o", "json", code=code)
        return json.loads(done.stdout)

    def replay(self, *options: object, code: int = 0) -> Any:
        """Replay for real; return the result."""
        return self.json("replay", "--yes", *options, code=code)

    def error(self, command: str, *options: object, code: int) -> str:
        """Return what a command that fails says."""
        return aep_bridge("dlq", command, "-c", self._file, *options, code=code).stderr

    def start_replay(self, *options: str) -> subprocess.Popen[str]:
        """Start a replay, and do not wait for it."""
        command = [sys.executable, "-m", "bridge", "dlq", "replay", "-c", str(self._file), "--yes"]
        return subprocess.Popen(
            [*command, "-o", "json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )


def numbers(result: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Return some fields of a result."""
    return tuple(result[name] for name in names)


def test_from_the_reason_to_the_replay(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """An operator's whole way: list, show, export, count, dry run, replay, patch, and park what stays bad."""
    topic = kafka.clients.create_topic(unique("dlq"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        wrong = [
            envelope(f"m{number}", "SOMEBODYELSE@AdobeOrg", extra='"n": 1.50, "big": 9400100000000000000000')
            for number in range(30)
        ]
        dead_letter(kafka, config, topic, [*wrong, b"not json", b"\xff\xfe"], tmp_path)
        dlq = Dlq(config, tmp_path)

        groups = dlq.json("list")
        assert groups[0]["count"] == 30
        assert groups[0]["reason"] == "refused"
        assert "wrong ims org" in groups[0]["error"]
        assert groups[0]["topics"] == [topic]
        assert "wrong ims org" in dlq.table("list")

        shown = dlq.json("show", groups[0]["sample"])
        offset = shown["source"].rpartition("/")[2]
        assert shown["source"].startswith(f"{topic}/0/")
        assert shown["payload"]["body"]["xdmEntity"]["_id"] == f"m{offset}"
        assert dlq.json("show", shown["source"]) == shown
        assert dlq.text("show", f"{topic}/0/0", "--raw") == wrong[0].decode()
        assert "imsOrgId" in dlq.table("show", f"{topic}/0/0")
        assert "no dead letter is there" in dlq.error("show", f"{topic}.dlq/0/99", code=1)

        lines = [json.loads(line) for line in dlq.text("export").splitlines()]
        refused = {line["payload"] for line in lines if line["reason"] == "refused"}
        assert len(lines) == 32
        assert refused == {value.decode() for value in wrong}
        assert [line["payload_base64"] for line in lines if line["payload_base64"]] == ["//4="]
        dlq.text("export", "--format", "csv", "--reason", "ims org", "--to", tmp_path / "x.csv")
        assert len(list(csv.DictReader((tmp_path / "x.csv").open()))) == 30
        assert dlq.text("export", "--dataset", "nobody") == ""
        filters = ("--dataset", DATASETS[0], "--since", "1h", "--source-topic", topic)
        assert len(dlq.text("export", *filters).splitlines()) == 30
        assert dlq.json("stats")["total"] == 32

        dry_run = dlq.table("replay", "--reason", "ims org")
        assert "30 to replay" in dry_run
        assert "Nothing was sent" in dry_run
        assert dict(sim.accepted) == {}

        # Without a patch it fails again, and goes to the end of the topic, outside of the bounds.
        once = dlq.replay("--reason", "ims org", code=1)
        assert numbers(once, "accepted", "dead_lettered_again", "left") == (0, 30, 0)
        assert once["finished"]
        letters = kafka.clients.read_all(f"{topic}.dlq")
        headers = letters[-1].headers()
        names = [name for name, _ in headers]
        assert len(letters) == 62
        assert names.count("__connect.errors.offset") == 1
        assert [value for name, value in headers if name == "aep.replay.count"] == [b"0", b"1"]
        assert headers[0] == ("trace", b"\x00\xff")

        fix = tmp_path / "fix.json"
        fix.write_text(json.dumps([{"op": "replace", "path": "/header/imsOrgId", "value": sim.config.org}]))
        assert "don't take the patch" in dlq.error("replay", "--patch", fix, code=1)
        done = dlq.replay("--reason", "ims org", "--patch", fix)
        assert numbers(done, "accepted", "dead_lettered_again", "repeats") == (30, 0, 30)
        assert sim.accepted.keys() == {f"m{number}" for number in range(30)}
        assert sim.duplicates == {}

        # Nothing of it is left for another run. The two that are no JSON are refused again until they are
        # parked.
        assert dlq.json("replay", "--reason", "ims org")["replay"] == 0
        no_json = ("--reason", "not_json", "--max-replays", "2")
        for attempt in (1, 2):
            result = dlq.replay(*no_json, code=1)
            assert numbers(result, "dead_lettered_again", "parked") == (2, 0), attempt
        result = dlq.replay(*no_json)
        assert numbers(result, "dead_lettered_again", "parked") == (0, 2)
        parked = kafka.clients.read_all(f"{topic}.dlq.parked")
        assert {message.value() for message in parked} == {b"not json", b"\xff\xfe"}
        assert sum(name == "aep.replay.count" for name, _ in parked[0].headers()) == 3


def test_an_interrupted_replay_goes_on_where_it_stood(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """After SIGTERM during a slow replay, the same command delivers the rest.

    Every record is delivered once; a dead letter that a crash had repeated is not sent.
    """
    topic = kafka.clients.create_topic(unique("resume"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        sim.fault(Rule(action="messages", status=400, body="not today"))
        values = [envelope(f"r{number:03}", sim.config.org) for number in range(200)]
        dead_letter(kafka, config, topic, values, tmp_path)
        sim.faults.clear()
        repeated = kafka.clients.read_all(f"{topic}.dlq")[5]
        kafka.clients.produce(f"{topic}.dlq", [repeated.value()], key=b"k", headers=repeated.headers())
        dlq = Dlq(config, tmp_path)
        slow = dlq.start_replay("--rate", "40")
        until(lambda: len(sim.accepted) >= 20, 40, "nothing was replayed")
        slow.send_signal(signal.SIGTERM)
        first = json.loads(slow.communicate(timeout=40)[0])

        assert not first["finished"]
        assert first["accepted"] == len(sim.accepted) < 200
        assert first["left"] == 200 - first["accepted"]
        rest = dlq.replay()

        assert rest["accepted"] == first["left"]
        assert rest["repeats"] == 1
        assert rest["done_before"] == first["accepted"]
        assert len(sim.accepted) == 200
        assert sim.duplicates == {}


def test_back_to_the_source_topic(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Key, value and headers go back as they are, for the running bridge to read.

    Two source topics share the dead-letter topic, so each record must find its own.
    """
    one, two, shared = (kafka.clients.create_topic(unique(name), 1) for name in ("one", "two", "shared"))
    with Simulator(Config()) as sim:
        config = configure(sim, one, two)
        for entry in config["topics"]:
            entry["dead_letter_topic"] = shared
        sim.fault(Rule(action="messages", status=400, body="no"))
        dead_letter(kafka, config, one, [envelope("x1", sim.config.org)], tmp_path)
        values = [envelope("x2", sim.config.org), envelope("x3", sim.config.org)]
        dead_letter(kafka, config, two, values, tmp_path)
        dlq = Dlq(config, tmp_path)
        result = dlq.replay("--to", "source", "--source-topic", two)
        assert numbers(result, "accepted", "finished") == (2, True)
        records = kafka.clients.read_all(two)
        originals, copies = records[:2], records[2:]
        assert [message.value() for message in copies] == [message.value() for message in originals]
        assert [message.key() for message in copies] == [b"k", b"k"]
        assert sum(name == "aep.replay.count" for name, _ in copies[0].headers()) == 1

        sim.faults.clear()
        fields = ("accepted", "dead_lettered_again", "done_before")
        assert numbers(dlq.replay(), *fields) == (1, 0, 2)
        assert sim.accepted.keys() == {"x1"}
        assert numbers(dlq.replay("--again"), *fields) == (3, 0, 0)
        assert sim.accepted.keys() == {"x1", "x2", "x3"}


def test_what_one_filter_has_sent_no_other_sends_again(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A dead letter that was replayed is shown as such and passed over, whatever filter selects it.

    One that failed again since is sent again.
    """
    topic = kafka.clients.create_topic(unique("twice"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        sim.fault(Rule(action="messages", status=400, body="not today"))
        values = [envelope(f"w{number}", sim.config.org) for number in range(5)]
        dead_letter(kafka, config, topic, [*values, b"not json"], tmp_path)
        sim.faults.clear()
        dlq = Dlq(config, tmp_path)
        first = dlq.replay("--reason", "not today")
        assert numbers(first, "accepted", "done_before") == (5, 0)
        for filters in (
            ("--since", "1h"),
            ("--source-topic", topic),
            ("--dataset", DATASETS[0]),
            ("--topic", f"{topic}.dlq"),
            (),
        ):
            plan = dlq.json("replay", "--reason", "400", *filters)
            assert numbers(plan, "replay", "done_before") == (0, 5), filters
        again = dlq.replay(code=1)
        assert numbers(again, "accepted", "dead_lettered_again", "done_before") == (0, 1, 5)
        assert dlq.json("replay")["replay"] == 1
        assert sim.duplicates == {}

        groups = {group["reason"]: group for group in dlq.json("list")}
        assert numbers(groups["refused"], "count", "replayed") == (5, 5)
        assert numbers(groups["not_json"], "count", "replayed") == (2, 1)
        assert "replayed" in dlq.table("list")
        assert dlq.json("show", f"{topic}/0/0")["replayed"]["to"] == "aep"
        assert "to aep" in dlq.table("show", f"{topic}/0/0")
        replayed = [bool(json.loads(line)["replayed_at"]) for line in dlq.text("export").splitlines()]
        assert sum(replayed) == 6
        fields = ("reason", "replay_count", "replayed", "count")
        assert {numbers(group, *fields) for group in dlq.json("stats")["groups"]} == {
            ("refused", 0, True, 5),
            ("not_json", 0, True, 1),
            ("not_json", 1, False, 1),
        }
        wrong = dlq.error("replay", "--parking-topic", topic, "--yes", code=2)
        assert "the bridge would read it" in wrong


def test_two_replays_at_once(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """While one runs, another is refused and says which one runs, whatever its filters.

    Two that start at the same moment send nothing twice.
    """
    topic = kafka.clients.create_topic(unique("both"), 2)
    with Simulator(Config()) as sim:
        config = configure(sim, topic, kafka={"properties": {"session.timeout.ms": 6000}})
        sim.fault(Rule(action="messages", status=400, body="not today"))
        values = [envelope(f"t{number:03}", sim.config.org) for number in range(300)]
        dead_letter(kafka, config, topic, values, tmp_path)
        sim.faults.clear()
        dlq = Dlq(config, tmp_path)

        slow = dlq.start_replay("--rate", "5")
        until(lambda: len(sim.accepted) >= 5, 40, "nothing was replayed")
        file = tmp_path / "bridge.yaml"
        refused = aep_bridge("dlq", "replay", "-c", file, "--since", "1h", "--yes", "-o", "json", code=1)
        assert "another replay is running" in refused.stderr
        assert "Nothing was sent" in refused.stderr
        assert refused.stdout == ""
        assert slow.poll() is None
        assert dlq.json("replay")["letters"] == 300  # a dry run is always possible
        slow.send_signal(signal.SIGTERM)
        assert not json.loads(slow.communicate(timeout=60)[0])["finished"]

        before = len(sim.accepted)
        both = [dlq.start_replay("--rate", "100"), dlq.start_replay("--rate", "100", "--since", "1h")]
        outputs = [process.communicate(timeout=120) for process in both]
        assert len(sim.accepted) > before, outputs
        last = dlq.replay()

        assert last["finished"]
        assert len(sim.accepted) == 300
        assert sim.duplicates == {}


def test_wrong_use_says_what_to_do(configure: Configure, tmp_path: Path) -> None:
    """Wrong use is exit code 2, brokers that are away 3, each with what to do next."""
    with Simulator(Config()) as sim:
        config = configure(sim, unique("none"))
        dlq = Dlq(config, tmp_path)
        (tmp_path / "fix.json").write_text("{}")
        assert "TOPIC/PARTITION/OFFSET" in dlq.error("show", "nonsense", code=2)
        assert "give an age" in dlq.error("list", "--since", "yesterday", code=2)
        assert "no such topic" in dlq.error("list", "--topic", "nowhere", code=2)
        assert "is no JSON Patch" in dlq.error("replay", "--patch", tmp_path / "fix.json", code=2)

        config["kafka"]["bootstrap_servers"] = "127.0.0.1:9"
        assert "aep-bridge check" in Dlq(config, tmp_path).error("list", code=3)


def test_a_killed_replay_and_an_outage_lose_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A replay waits for an AEP that is down. After SIGKILL meanwhile, the next run delivers every record."""
    topic = kafka.clients.create_topic(unique("killed"), 1)
    with Simulator(Config()) as sim:
        config = configure(
            sim, topic, kafka={"properties": {"session.timeout.ms": 6000}}, delivery={"backoff_max_s": 1}
        )
        sim.fault(Rule(action="messages", status=400, body="not today"))
        values = [envelope(f"k{number:03}", sim.config.org) for number in range(60)]
        dead_letter(kafka, config, topic, values, tmp_path)
        sim.faults.clear()
        dlq = Dlq(config, tmp_path)
        slow = dlq.start_replay("--rate", "30")
        until(lambda: len(sim.accepted) >= 10, 40, "nothing was replayed")
        down = sim.fault(Rule(action="status", status=503))
        until(lambda: sim.faults.fired(down) >= 2, 20, "no request meets the outage")
        assert slow.stderr is not None
        assert "503" in slow.stderr.readline()
        assert slow.poll() is None
        slow.kill()
        slow.wait(20)
        sim.faults.clear()
        rest = dlq.replay()

        assert rest["finished"]
        assert len(sim.accepted) == 60
        assert rest["dead_lettered_again"] == 0
        assert len(kafka.clients.read_all(f"{topic}.dlq")) == 60
