"""Records that no producer should write, through the whole process: every one is accepted or dead-lettered, byte for byte, and nothing crashes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from bridge.simulator import Config, Simulator
from tests.hostile.conftest import ORG, Configure, ceiling, crashes, done, peak_bytes
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def test_ten_thousand_spoilt_records(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Good events with bytes changed, cut, doubled; keys of any bytes; headers of any name and value: accepted and dead letters together are what was produced."""
    topic, rng = kafka.clients.create_topic(unique("spoilt"), 3), random.Random(23)
    producer = Producer({**kafka.properties(), "linger.ms": 5})
    produced: Counter[bytes] = Counter()
    nulls = 0
    for number in range(10_000):
        data = bytearray(envelope(f"s{number:05}", ORG))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.choice(
                [b"", b'"', b"\\", b"\xff", b"{", b"]", b"\\ud800", b"\x00", b"1e999", rng.randbytes(3)]
            )
        value = (
            None
            if rng.random() < 0.01
            else b""
            if rng.random() < 0.01
            else bytes(data[: rng.choice([10_000, 10_000, 50])])
        )
        nulls += value is None
        names = rng.choice(["aep.replay.count", "aep.error", "é", "", "x" * 300, "a\nb"])
        headers: Any = [(names, rng.choice([None, b"", rng.randbytes(5)])) for _ in range(rng.randrange(3))]
        producer.produce(topic, value, rng.choice([None, b"", rng.randbytes(8)]), number % 3, headers=headers)
        if value is not None:
            produced[value] += 1
        producer.poll(0)
    assert producer.flush(60) == 0
    with Simulator(Config(org=ORG, keep_bytes=True)) as sim:
        config = configure(sim.inlet_url, topic, dead_letter={"flood_guard": 0})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: done(kafka, config["kafka"]["group_id"], topic, 3), 90, bridge.tail())

            assert bridge.metric("aep_bridge_records_skipped_total") == nulls
            assert crashes(bridge) == []
            assert peak_bytes(bridge) < ceiling(bridge)
            assert bridge.stop() == 0
        read = {(record.partition(), record.offset()): record for record in kafka.clients.read_all(topic)}
        letters = kafka.clients.read_all(f"{topic}.dlq")
        for letter in letters:
            told, headers = dict(letter.headers() or []), letter.headers() or []
            record = read[
                int(told["__connect.errors.partition"] or b""), int(told["__connect.errors.offset"] or b"")
            ]
            own = record.headers() or []
            assert (record.key(), record.value(), own) == (letter.key(), letter.value(), headers[: len(own)])
        left = produced - Counter(letter.value() or b"" for letter in letters)
        accepted = sim.accounting.accepted
        for event in accepted.keys() - sim.accounting.ids_with_changed_bytes - {""}:
            assert accepted[event] == left[sim.message(event) or b""], event

        assert produced.total() == sim.stats["messages_accepted"] + len(letters)
        assert len(accepted) > 1000
