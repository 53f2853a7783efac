"""The whole bridge on a real broker: a process, a topic, an AEP, and every event accounted for by its id."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from bridge.simulator import Config, Rule, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(240)


def settled(kafka: Kafka, group: str, topic: str, partitions: int) -> bool:
    """Whether the group has no lag."""
    return (
        len(kafka.clients.committed(group, topic, partitions)) == partitions
        and kafka.clients.lag(group, topic, partitions) == 0
    )


def fill(kafka: Kafka, topic: str, values: list[tuple[str, bytes]], partitions: int) -> None:
    """Produces round robin over the partitions, keyed by id, and waits until the broker has acknowledged them all."""
    producer = Producer(
        {
            **kafka.properties(),
            "acks": "all",
            "linger.ms": 5,
            "message.max.bytes": 5_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for at, (key, value) in enumerate(values):
        producer.produce(topic, value, key.encode(), at % partitions)
        if at % 1000 == 999:
            producer.poll(0)

    assert producer.flush(60) == 0


def letters(kafka: Kafka, topic: str) -> Counter[str]:
    """The keys of the dead letters."""
    return Counter((message.key() or b"").decode() for message in kafka.clients.read_all(f"{topic}.dlq"))


def test_fifty_thousand_events_are_all_accounted_for(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """50,000 events over 6 partitions, 1% refused and 0.5% junk: accepted and dead-lettered together are what was produced, byte for byte, and the lag is 0.

    The metrics say the same.
    """
    topic, rng = kafka.clients.create_topic(unique("events"), 6), random.Random(7)
    (tmp_path / "secret").write_text("secret")
    with Simulator(Config(latency_ms=5, keep_bytes=True, require_auth=True)) as sim:
        values, refused, junk, large = [], set(), set(), 5
        for number in range(50_000):
            event = f"e{number:05}"
            kind = rng.random()
            dataset = rng.choice(DATASETS)
            if kind < 0.005:
                junk.add(event)
                values.append(
                    (
                        event,
                        rng.choice(
                            [
                                b"not json",
                                b'{"a":',
                                b"[1]",
                                b'"text"',
                                b"\xff\xfe",
                                b'{"header":{"datasetId":"x"},"body":"\xff"}',
                            ]
                        ),
                    )
                )
            elif kind < 0.015:
                refused.add(event)
                values.append((event, envelope(event, "SOMEBODYELSE@AdobeOrg", dataset=dataset)))
            else:
                size = 10_500 if number >= 50_000 - large else 300
                values.append(
                    (
                        event,
                        envelope(
                            event,
                            sim.config.org,
                            dataset=dataset,
                            extra='"n": 9400100000000000000000,  "n" : 1.50',
                            size=size,
                        ),
                    )
                )
        fill(kafka, topic, values, 6)
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret_file": str(tmp_path / "secret"),
            "scope": "openid",
        }
        config = configure(sim, topic, aep={"auth": auth})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 6), 120, bridge.tail())
            quiet(bridge)
            counted(
                bridge,
                sim,
                {
                    "read": 50_000,
                    "accepted": 50_000 - len(refused | junk),
                    "dead_lettered": len(refused | junk),
                },
                large,
            )
            dead = kafka.clients.read_all(f"{topic}.dlq")

            assert bridge.stop() == 0
        good = {event: value for event, value in values if event not in refused and event not in junk}

        assert good.keys() == sim.accepted.keys()
        assert Counter(refused | junk) == Counter((message.key() or b"").decode() for message in dead)
        assert sim.duplicates == {}
        assert all(sim.message(event) == value for event, value in good.items())
        produced = dict(values)
        for message in dead:
            key = (message.key() or b"").decode()
            headers = dict(message.headers())

            assert produced[key] == message.value()
            assert ("refused" if key in refused else True) == (
                headers["aep.reason"].decode() if key in refused else headers["aep.reason"] != b"refused"
            )
            assert topic.encode() == headers["__connect.errors.topic"]
            assert headers["aep.error"]
        assert sim.stats["max_request_bytes"] <= 1_000_000


def quiet(bridge: Bridge) -> None:
    """What waits or is under way comes down to nothing; the pump's snapshot is half a second old at most."""
    gauges = (
        "in_flight",
        "window_bytes",
        "oldest_unsettled_seconds",
        "watermark_age_seconds",
        "commit_age_seconds",
        "inlet_held",
    )
    until(lambda: not any(bridge.metric(f"aep_bridge_{name}") for name in gauges), 20, "the gauges come down")


def counted(bridge: Bridge, sim: Simulator, records: dict[str, int], large: int) -> None:
    """The counters of a run without a fault, beside what AEP saw."""
    metrics = {
        name: bridge.metric(f"aep_bridge_{name}")
        for name in ("batch_records_count", "batch_records_sum", "batch_bytes_count", "batch_bytes_sum")
    }
    requests = bridge.metric("aep_bridge_requests_total", status="207")

    assert records == {what: bridge.metric(f"aep_bridge_records_{what}_total") for what in records}
    assert (
        requests
        == bridge.metric("aep_bridge_requests_total")
        == bridge.metric("aep_bridge_request_seconds_count")
        == sim.stats["requests"]["207"]
    )
    assert requests == metrics["batch_records_count"] == metrics["batch_bytes_count"]
    assert sum(sim.accepted.values()) <= metrics["batch_records_sum"] <= records["read"]
    assert records["accepted"] * 300 < metrics["batch_bytes_sum"] <= requests * 1_000_000
    assert requests * 0.005 < bridge.metric("aep_bridge_request_seconds_sum")
    assert 1 <= bridge.metric("aep_bridge_in_flight_limit") <= 8
    assert 0 < bridge.metric("aep_bridge_token_age_seconds") < 120
    assert bridge.metric("aep_bridge_oversize_for_profile_total") == large
    assert bridge.metric("aep_bridge_assigned_partitions") == 6
    for fault in (
        "retries_total",
        "holds_total",
        "commit_failures_total",
        "token_refresh_failures_total",
        "possible_loss_total",
        "rewinds_total",
    ):
        assert bridge.metric(f"aep_bridge_{fault}") == 0, fault


def test_a_kill_in_mid_drain_loses_nothing(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """SIGKILL with requests under way, then a restart: nothing is lost, and no more is sent twice than the contract says."""
    topic = kafka.clients.create_topic(unique("kill"), 4)
    ahead, at_once, size, latency_s, commit_s = 1000, 8, 50, 0.06, 0.5
    with Simulator(Config(latency_ms=1000 * latency_s)) as sim:
        values = [(f"k{number:05}", envelope(f"k{number:05}", sim.config.org)) for number in range(20_000)]
        fill(kafka, topic, values, 4)
        quick = {"session.timeout.ms": 4000}  # a killed member holds its partitions for so long
        delivery = {"max_uncommitted_records": ahead, "max_in_flight": at_once}
        config = configure(
            sim,
            topic,
            batch={"linger_ms": 50, "max_messages": size},
            delivery=delivery,
            kafka={"properties": quick},
        )
        for _ in range(3):
            seen = len(sim.accepted)
            with Bridge(config, tmp_path) as bridge:
                until(lambda seen=seen: len(sim.accepted) > seen + 5000, 60, bridge.tail())
                bridge.kill()
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 4), 120, bridge.tail())

            assert bridge.stop() == 0
        assert sim.accepted.keys() == {event for event, _ in values}
        assert len(letters(kafka, topic)) == 0
        interval = (
            at_once * size / latency_s * commit_s
        )  # what a commit interval can settle, with every slot always in use
        assert sum(count - 1 for count in sim.accepted.values()) <= 3 * (4 * ahead + interval)


def test_a_rolling_restart_loses_nothing_and_repeats_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Three replicas, each stopped by SIGTERM and started again under load: every event arrives exactly once."""
    topic = kafka.clients.create_topic(unique("roll"), 6)
    with Simulator(Config(latency_ms=20)) as sim:
        config = configure(sim, topic, batch={"linger_ms": 20, "max_messages": 100})
        replicas = [Bridge(config, tmp_path, name=f"replica-{number}").start() for number in range(3)]
        try:
            for replica in replicas:
                replica.wait_ready()
            values = [
                (f"r{number:05}", envelope(f"r{number:05}", sim.config.org)) for number in range(30_000)
            ]
            for at, replica in enumerate(replicas):
                fill(kafka, topic, values[at * 10_000 : (at + 1) * 10_000], 6)

                assert replica.stop() == 0
                replicas[at] = Bridge(config, tmp_path, name=f"replica-{at}-again").start().wait_ready()
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 6), 120, replicas[0].tail())
            for replica in replicas:
                assert replica.stop() == 0
        finally:
            for replica in replicas:
                replica.kill()
        assert sim.accepted.keys() == {event for event, _ in values}
        assert sim.duplicates == {}


@pytest.mark.parametrize("status", [500, 404, 407, 403, 503, 400])
def test_an_aep_that_refuses_everything_for_a_while_dead_letters_nothing(
    status: int, kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """An inlet at fault is waited for: nothing is dead-lettered, nothing is lost, and delivery goes on when it recovers."""
    topic = kafka.clients.create_topic(unique("outage"), 3)
    with Simulator(Config()) as sim:
        values = [(f"o{number:04}", envelope(f"o{number:04}", sim.config.org)) for number in range(3_000)]
        fill(kafka, topic, values, 3)
        rule = sim.fault(Rule(action="status", status=status))
        config = configure(sim, topic, delivery={"backoff_max_s": 2})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: sim.faults.fired(rule) >= 6, 60, bridge.tail())

            assert bridge._get("/livez") == 200
            assert bridge._get("/readyz") == 200
            until(lambda: any(inlet["held"] for inlet in bridge.status()["inlets"]), 10, "no inlet is held")
            sim.faults.clear()
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 3), 90, bridge.tail())

            assert bridge.stop() == 0
        assert sim.accepted.keys() == {event for event, _ in values}
        assert len(letters(kafka, topic)) == 0


def test_an_aep_that_is_down_is_waited_for(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Connections refused at the start: alive and ready all the same, and everything arrives when AEP is there."""
    topic = kafka.clients.create_topic(unique("down"), 2)
    sim = Simulator(Config())
    with sim:
        pass
    values = [(f"d{number:04}", envelope(f"d{number:04}", sim.config.org)) for number in range(1_000)]
    fill(kafka, topic, values, 2)
    config = configure(sim, topic, delivery={"backoff_max_s": 1})
    with Bridge(config, tmp_path) as bridge:
        bridge.wait_ready()
        until(lambda: bridge.metric("aep_bridge_requests_total", status="connection") >= 3, 30, bridge.tail())
        with sim:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 2), 60, bridge.tail())

            assert bridge.stop() == 0
    assert sim.accepted.keys() == {event for event, _ in values}


def test_sigterm_drains_what_was_read(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """After the first SIGTERM everything that was read is delivered and committed: a restart repeats nothing."""
    topic = kafka.clients.create_topic(unique("drain"), 2)
    with Simulator(Config(latency_ms=100)) as sim:
        values = [(f"s{number:05}", envelope(f"s{number:05}", sim.config.org)) for number in range(10_000)]
        fill(kafka, topic, values, 2)
        config = configure(sim, topic, batch={"linger_ms": 50, "max_messages": 200})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: len(sim.accepted) > 500, 60, bridge.tail())

            assert bridge.stop() == 0
            assert [entry for entry in bridge.events() if entry["event"] == "drain.finished"][0][
                "abandoned_records"
            ] == 0
        with Bridge(config, tmp_path, name="again") as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 2), 60, bridge.tail())
        assert sim.accepted.keys() == {event for event, _ in values}
        assert sim.duplicates == {}


def test_a_second_sigterm_ends_it_at_once(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """With a hanging AEP the drain waits; the second SIGTERM doesn't."""
    topic = kafka.clients.create_topic(unique("second"), 1)
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="hang"))
        fill(kafka, topic, [("x", envelope("x", sim.config.org))], 1)
        with Bridge(configure(sim, topic), tmp_path) as bridge:
            until(lambda: sim.stats["in_flight"] >= 1, 60, bridge.tail())
            bridge.signal(signal.SIGTERM)
            until(lambda: any(entry["event"] == "drain.started" for entry in bridge.events()), 10)
            bridge.signal(signal.SIGTERM)
            assert bridge.process is not None

            assert 128 + signal.SIGTERM == bridge.process.wait(5)


def test_skip_moves_a_poison_record_and_says_who_and_why(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A record that AEP answers with 503 for ever is moved by an operator's order, audited; without the token nothing moves."""
    import subprocess
    import sys

    topic = kafka.clients.create_topic(unique("skip"), 1)
    (tmp_path / "token").write_text("open sesame\n")
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="messages", status=503, marker="poison"))
        fill(
            kafka,
            topic,
            [
                ("a", envelope("a", sim.config.org)),
                ("p", envelope("poison", sim.config.org)),
                ("z", envelope("z", sim.config.org)),
            ],
            1,
        )
        config = configure(sim, topic, admin={"token_file": str(tmp_path / "token")})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: len(sim.accepted) == 2, 60, bridge.tail())
            (tmp_path / "wrong").write_text("wrong")

            def order(token: str) -> subprocess.CompletedProcess[str]:
                command = [
                    sys.executable,
                    "-m",
                    "bridge",
                    "skip",
                    f"{topic}/0/1",
                    "--why",
                    "ticket 4711",
                    "--who",
                    "ada",
                ]
                return subprocess.run(
                    [*command, "--token-file", str(tmp_path / token), "--admin", bridge.admin],
                    capture_output=True,
                    text=True,
                    timeout=60,
                )

            assert order("wrong").returncode == 2
            done = order("token")

            assert (0, f"moved to {topic}.dlq") == (done.returncode, done.stdout.strip()), done.stderr
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 1), 30, bridge.tail())
        letter = kafka.clients.read_all(f"{topic}.dlq")[0]
        headers = dict(letter.headers())

        assert letter.key() == b"p"
        assert (b"skipped", b"ada", b"ticket 4711") == (
            headers["aep.reason"],
            headers["aep.skipped.by"],
            headers["aep.skipped.why"],
        )
