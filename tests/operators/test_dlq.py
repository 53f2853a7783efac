"""`aep-bridge dlq` on a real broker: read, grouped, exported, and replayed through the engine, each record once."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.operators.conftest import ROOT, Configure, aep_bridge, write
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(150)


def bury(kafka: Kafka, config: dict, topic: str, values: list[bytes], tmp_path: Path) -> None:
    """Produces what is refused, and runs the bridge until all of it is in the dead-letter topic."""
    kafka.clients.produce(topic, values, key=b"k", headers=[("trace", b"\x00\xff")])
    with Bridge(config, tmp_path) as bridge:
        until(
            lambda: kafka.clients.committed(config["kafka"]["group_id"], topic).get(0) == len(values),
            60,
            bridge.tail(),
        )
        assert bridge.stop() == 0


def test_from_the_reason_to_the_replay(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Listed by reason, shown, exported, counted; a dry run sends nothing; a patch mends; what fails again is never met in the same replay; then parked."""
    topic = kafka.clients.create_topic(unique("dlq"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        bad = [
            envelope(f"m{number}", "SOMEBODYELSE@AdobeOrg", extra='"n": 1.50, "big": 9400100000000000000000')
            for number in range(30)
        ]
        bury(kafka, config, topic, [*bad, b"not json", b"\xff\xfe"], tmp_path)
        file = write(config, tmp_path / "bridge.yaml")

        groups = json.loads(aep_bridge("dlq", "list", "-c", file, "-o", "json").stdout)
        assert groups[0]["count"] == 30
        assert groups[0]["reason"] == "refused"
        assert "wrong ims org" in groups[0]["error"]
        assert groups[0]["topics"] == [topic]
        assert "wrong ims org" in aep_bridge("dlq", "list", "-c", file, "-o", "table").stdout

        shown = json.loads(aep_bridge("dlq", "show", groups[0]["sample"], "-c", file).stdout)
        assert shown["source"].startswith(f"{topic}/0/")
        assert shown["payload"]["body"]["xdmEntity"]["_id"] == f"m{shown['source'].rpartition('/')[2]}"
        assert json.loads(aep_bridge("dlq", "show", shown["source"], "-c", file).stdout) == shown
        assert bad[0].decode() == aep_bridge("dlq", "show", f"{topic}/0/0", "--raw", "-c", file).stdout
        assert "imsOrgId" in aep_bridge("dlq", "show", f"{topic}/0/0", "-o", "table", "-c", file).stdout
        assert (
            "no dead letter is there"
            in aep_bridge("dlq", "show", f"{topic}.dlq/0/99", "-c", file, code=1).stderr
        )

        lines = [json.loads(line) for line in aep_bridge("dlq", "export", "-c", file).stdout.splitlines()]
        assert len(lines) == 32
        assert {value.decode() for value in bad} == {
            line["payload"] for line in lines if line["reason"] == "refused"
        }
        assert [line["payload_base64"] for line in lines if line["payload_base64"]] == ["//4="]
        aep_bridge(
            "dlq", "export", "-c", file, "--format", "csv", "--reason", "ims org", "--to", tmp_path / "x.csv"
        )
        assert len(list(csv.DictReader((tmp_path / "x.csv").open()))) == 30
        assert aep_bridge("dlq", "export", "-c", file, "--dataset", "nobody").stdout == ""
        assert (
            len(
                aep_bridge(
                    "dlq",
                    "export",
                    "-c",
                    file,
                    "--dataset",
                    DATASETS[0],
                    "--since",
                    "1h",
                    "--source-topic",
                    topic,
                ).stdout.splitlines()
            )
            == 30
        )
        assert json.loads(aep_bridge("dlq", "stats", "-c", file).stdout)["total"] == 32

        dry = aep_bridge("dlq", "replay", "-c", file, "--reason", "ims org", "-o", "table").stdout
        assert "30 to replay" in dry
        assert "Nothing was sent" in dry
        assert dict(sim.accepted) == {}

        # Without a patch it fails again, and goes to the end of the topic, outside the bounds.
        once = json.loads(
            aep_bridge(
                "dlq", "replay", "-c", file, "--reason", "ims org", "--yes", "-o", "json", code=1
            ).stdout
        )
        assert (0, 30, True, 0) == (
            once["accepted"],
            once["dead_lettered_again"],
            once["finished"],
            once["left"],
        )
        letters = kafka.clients.read_all(f"{topic}.dlq")
        assert len(letters) == 62
        names = [name for name, _ in letters[-1].headers()]
        assert names.count("__connect.errors.offset") == 1
        assert [value for name, value in letters[-1].headers() if name == "aep.replay.count"] == [b"0", b"1"]
        assert letters[-1].headers()[0] == ("trace", b"\x00\xff")

        fix = tmp_path / "fix.json"
        fix.write_text(json.dumps([{"op": "replace", "path": "/header/imsOrgId", "value": sim.config.org}]))
        assert (
            "don't take the patch" in aep_bridge("dlq", "replay", "-c", file, "--patch", fix, code=1).stderr
        )
        done = json.loads(
            aep_bridge(
                "dlq", "replay", "-c", file, "--reason", "ims org", "--patch", fix, "--yes", "-o", "json"
            ).stdout
        )
        assert (30, 0, 30) == (done["accepted"], done["dead_lettered_again"], done["repeats"])
        assert sim.accepted.keys() == {f"m{number}" for number in range(30)}
        assert sim.duplicates == {}

        # Nothing of it is left for another run; the two that are no JSON go on being what they are, until they are parked.
        assert (
            json.loads(aep_bridge("dlq", "replay", "-c", file, "--reason", "ims org", "-o", "json").stdout)[
                "replay"
            ]
            == 0
        )
        for count in (1, 2):
            junk = json.loads(
                aep_bridge(
                    "dlq",
                    "replay",
                    "-c",
                    file,
                    "--reason",
                    "not_json",
                    "--max-replays",
                    "2",
                    "--yes",
                    "-o",
                    "json",
                    code=1,
                ).stdout
            )
            assert (2, 0) == (junk["dead_lettered_again"], junk["parked"]), count
        junk = json.loads(
            aep_bridge(
                "dlq",
                "replay",
                "-c",
                file,
                "--reason",
                "not_json",
                "--max-replays",
                "2",
                "--yes",
                "-o",
                "json",
            ).stdout
        )
        assert (0, 2) == (junk["dead_lettered_again"], junk["parked"])
        parked = kafka.clients.read_all(f"{topic}.dlq.parked")
        assert {message.value() for message in parked} == {b"not json", b"\xff\xfe"}
        assert sum(name == "aep.replay.count" for name, _ in parked[0].headers()) == 3


def test_an_interrupted_replay_goes_on_where_it_stood(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """SIGTERM during a slow replay, then the same command: every letter is delivered once; a repeat of a letter is not sent."""
    topic = kafka.clients.create_topic(unique("resume"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        rule = sim.fault(Rule(action="messages", status=400, body="not today"))
        bury(
            kafka,
            config,
            topic,
            [envelope(f"r{number:03}", sim.config.org) for number in range(200)],
            tmp_path,
        )
        sim.faults.clear()
        assert rule
        letters = kafka.clients.read_all(f"{topic}.dlq")
        kafka.clients.produce(
            f"{topic}.dlq", [letters[5].value()], key=b"k", headers=letters[5].headers()
        )  # as a crash repeats it
        file = write(config, tmp_path / "bridge.yaml")
        command = [
            sys.executable,
            "-m",
            "bridge",
            "dlq",
            "replay",
            "-c",
            str(file),
            "--yes",
            "-o",
            "json",
            "--rate",
            "40",
        ]
        slow = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        until(lambda: len(sim.accepted) >= 20, 40, "nothing was replayed")
        slow.send_signal(signal.SIGTERM)
        told = json.loads(slow.communicate(timeout=40)[0])

        assert not told["finished"]
        assert told["accepted"] == len(sim.accepted) < 200
        assert told["left"] == 200 - told["accepted"]
        rest = json.loads(aep_bridge("dlq", "replay", "-c", file, "--yes", "-o", "json").stdout)

        assert (told["left"], 1, told["accepted"]) == (rest["accepted"], rest["repeats"], rest["done_before"])
        assert len(sim.accepted) == 200
        assert sim.duplicates == {}


def test_back_to_the_source_topic(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Key, value and headers go back as they are, for the running bridge to read; from two source topics that share a dead-letter topic."""
    one, two, shared = (kafka.clients.create_topic(unique(name), 1) for name in ("one", "two", "shared"))
    with Simulator(Config()) as sim:
        config = configure(sim, one, two)
        for entry in config["topics"]:
            entry["dead_letter_topic"] = shared
        sim.fault(Rule(action="messages", status=400, body="no"))
        bury(kafka, config, one, [envelope("x1", sim.config.org)], tmp_path)
        bury(kafka, config, two, [envelope("x2", sim.config.org), envelope("x3", sim.config.org)], tmp_path)
        file = write(config, tmp_path / "bridge.yaml")
        told = json.loads(
            aep_bridge(
                "dlq", "replay", "-c", file, "--to", "source", "--source-topic", two, "--yes", "-o", "json"
            ).stdout
        )
        assert (2, True) == (told["accepted"], told["finished"])
        back = kafka.clients.read_all(two)
        assert [message.value() for message in back[:2]] == [message.value() for message in back[2:]]
        assert [message.key() for message in back[2:]] == [b"k", b"k"]
        assert sum(name == "aep.replay.count" for name, _ in back[2].headers()) == 1
        sim.faults.clear()
        told = json.loads(aep_bridge("dlq", "replay", "-c", file, "--yes", "-o", "json").stdout)
        assert (1, 0, 2) == (told["accepted"], told["dead_lettered_again"], told["done_before"])
        assert sim.accepted.keys() == {"x1"}
        told = json.loads(aep_bridge("dlq", "replay", "-c", file, "--again", "--yes", "-o", "json").stdout)
        assert (3, 0, 0) == (told["accepted"], told["dead_lettered_again"], told["done_before"])
        assert sim.accepted.keys() == {"x1", "x2", "x3"}


def test_what_one_filter_has_sent_no_other_sends_again(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Whatever chose it: a letter that was replayed is shown as such and passed over; one that failed again goes again."""
    topic = kafka.clients.create_topic(unique("twice"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        sim.fault(Rule(action="messages", status=400, body="not today"))
        bury(
            kafka,
            config,
            topic,
            [*(envelope(f"w{number}", sim.config.org) for number in range(5)), b"not json"],
            tmp_path,
        )
        sim.faults.clear()
        file = write(config, tmp_path / "bridge.yaml")
        first = json.loads(
            aep_bridge("dlq", "replay", "-c", file, "--reason", "not today", "--yes", "-o", "json").stdout
        )
        assert (5, 0) == (first["accepted"], first["done_before"])
        for filters in (
            ("--since", "1h"),
            ("--source-topic", topic),
            ("--dataset", DATASETS[0]),
            ("--topic", f"{topic}.dlq"),
            (),
        ):
            told = json.loads(
                aep_bridge("dlq", "replay", "-c", file, "--reason", "400", *filters, "-o", "json").stdout
            )
            assert (0, 5) == (told["replay"], told["done_before"]), filters
        again = json.loads(aep_bridge("dlq", "replay", "-c", file, "--yes", "-o", "json", code=1).stdout)
        assert (0, 1, 5) == (again["accepted"], again["dead_lettered_again"], again["done_before"])
        assert json.loads(aep_bridge("dlq", "replay", "-c", file, "-o", "json").stdout)["replay"] == 1
        assert sim.duplicates == {}

        groups = {
            group["reason"]: group
            for group in json.loads(aep_bridge("dlq", "list", "-c", file, "-o", "json").stdout)
        }
        assert (5, 5) == (groups["refused"]["count"], groups["refused"]["replayed"])
        assert (2, 1) == (groups["not_json"]["count"], groups["not_json"]["replayed"])
        assert "replayed" in aep_bridge("dlq", "list", "-c", file, "-o", "table").stdout
        assert (
            json.loads(aep_bridge("dlq", "show", f"{topic}/0/0", "-c", file).stdout)["replayed"]["to"]
            == "aep"
        )
        assert "to aep" in aep_bridge("dlq", "show", f"{topic}/0/0", "-c", file, "-o", "table").stdout
        assert (
            sum(
                bool(json.loads(line)["replayed_at"])
                for line in aep_bridge("dlq", "export", "-c", file).stdout.splitlines()
            )
            == 6
        )
        stats = json.loads(aep_bridge("dlq", "stats", "-c", file).stdout)
        assert {
            (row["reason"], row["replay_count"], row["replayed"], row["count"]) for row in stats["groups"]
        } == {("refused", 0, True, 5), ("not_json", 0, True, 1), ("not_json", 1, False, 1)}
        wrong = aep_bridge("dlq", "replay", "-c", file, "--parking-topic", topic, "--yes", code=2).stderr
        assert "the bridge would read it" in wrong


def test_two_replays_at_once(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """While one runs, another is told who is at work, and refused, whatever its filters; two that start at the same moment send nothing twice."""
    topic = kafka.clients.create_topic(unique("both"), 2)
    with Simulator(Config()) as sim:
        config = configure(sim, topic, kafka={"properties": {"session.timeout.ms": 6000}})
        sim.fault(Rule(action="messages", status=400, body="not today"))
        bury(
            kafka,
            config,
            topic,
            [envelope(f"t{number:03}", sim.config.org) for number in range(300)],
            tmp_path,
        )
        sim.faults.clear()
        file = write(config, tmp_path / "bridge.yaml")

        def start(*options: str) -> subprocess.Popen[str]:
            command = [
                sys.executable,
                "-m",
                "bridge",
                "dlq",
                "replay",
                "-c",
                str(file),
                "--yes",
                "-o",
                "json",
                *options,
            ]
            return subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
            )

        slow = start("--rate", "5")
        until(lambda: len(sim.accepted) >= 5, 40, "nothing was replayed")
        refused = aep_bridge("dlq", "replay", "-c", file, "--since", "1h", "--yes", "-o", "json", code=1)
        assert "another replay is running" in refused.stderr
        assert "Nothing was sent" in refused.stderr
        assert refused.stdout == ""
        assert slow.poll() is None
        assert (
            json.loads(aep_bridge("dlq", "replay", "-c", file, "-o", "json").stdout)["letters"] == 300
        )  # a dry run is always possible
        slow.send_signal(signal.SIGTERM)
        assert not json.loads(slow.communicate(timeout=60)[0])["finished"]

        before = len(sim.accepted)
        ended = [
            process.communicate(timeout=120)
            for process in [start("--rate", "100"), start("--rate", "100", "--since", "1h")]
        ]
        assert len(sim.accepted) > before, ended
        last = json.loads(aep_bridge("dlq", "replay", "-c", file, "--yes", "-o", "json").stdout)

        assert last["finished"]
        assert len(sim.accepted) == 300
        assert sim.duplicates == {}


def test_wrong_use_says_what_to_do(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Usage errors are exit code 2, brokers that are away 3, each with what to do next."""
    with Simulator(Config()) as sim:
        config = configure(sim, unique("none"))
        file = write(config, tmp_path / "bridge.yaml")
        assert "TOPIC/PARTITION/OFFSET" in aep_bridge("dlq", "show", "nonsense", "-c", file, code=2).stderr
        assert "give an age" in aep_bridge("dlq", "list", "--since", "yesterday", "-c", file, code=2).stderr
        assert "no such topic" in aep_bridge("dlq", "list", "--topic", "nowhere", "-c", file, code=2).stderr
        (tmp_path / "fix.json").write_text("{}")
        assert (
            "is no JSON Patch"
            in aep_bridge("dlq", "replay", "--patch", tmp_path / "fix.json", "-c", file, code=2).stderr
        )
        config["kafka"]["bootstrap_servers"] = "127.0.0.1:9"
        assert (
            "aep-bridge check"
            in aep_bridge("dlq", "list", "-c", write(config, tmp_path / "away.yaml"), code=3).stderr
        )


def test_a_killed_replay_and_an_outage_lose_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """An AEP that is down is waited for; SIGKILL in the middle of it, and the next run delivers every letter."""
    topic = kafka.clients.create_topic(unique("killed"), 1)
    with Simulator(Config()) as sim:
        config = configure(
            sim, topic, kafka={"properties": {"session.timeout.ms": 6000}}, delivery={"backoff_max_s": 1}
        )
        sim.fault(Rule(action="messages", status=400, body="not today"))
        bury(
            kafka,
            config,
            topic,
            [envelope(f"k{number:03}", sim.config.org) for number in range(60)],
            tmp_path,
        )
        sim.faults.clear()
        file = write(config, tmp_path / "bridge.yaml")
        command = [
            sys.executable,
            "-m",
            "bridge",
            "dlq",
            "replay",
            "-c",
            str(file),
            "--yes",
            "-o",
            "json",
            "--rate",
            "30",
        ]
        slow = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        until(lambda: len(sim.accepted) >= 10, 40, "nothing was replayed")
        down = sim.fault(Rule(action="status", status=503))
        until(lambda: sim.faults.fired(down) >= 2, 20, "no request meets the outage")
        assert slow.stderr is not None
        assert "503" in slow.stderr.readline()
        assert slow.poll() is None
        slow.kill()
        slow.wait(20)
        sim.faults.clear()
        rest = json.loads(aep_bridge("dlq", "replay", "-c", file, "--yes", "-o", "json").stdout)

        assert rest["finished"]
        assert len(sim.accepted) == 60
        assert rest["dead_lettered_again"] == 0
        assert len(kafka.clients.read_all(f"{topic}.dlq")) == 60
