"""Records that no producer should write, through the whole process: none is lost and none is altered."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from bridge.simulator import Config, Simulator
from tests.hostile.conftest import ORG, Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)

RECORDS, PARTITIONS = 10_000, 3
HEADER_NAMES = ["aep.replay.count", "aep.error", "é", "", "x" * 300, "a\nb"]


def spoilt_value(rng: random.Random, number: int) -> bytes | None:
    """Return an event with bytes changed, cut or doubled; sometimes nothing, or an empty value."""
    data = bytearray(envelope(f"s{number:05}", ORG))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(data))
        inserts = [b"", b'"', b"\\", b"\xff", b"{", b"]", b"\\ud800", b"\x00", b"1e999", rng.randbytes(3)]
        data[at : at + rng.randrange(3)] = rng.choice(inserts)
    if rng.random() < 0.01:
        return None
    if rng.random() < 0.01:
        return b""
    return bytes(data[: rng.choice([10_000, 10_000, 50])])


def produce_spoilt(kafka: Kafka, topic: str) -> tuple[Counter[bytes], int]:
    """Produce the records, with keys and headers of any bytes. Return the values, and the number of nulls."""
    rng, producer = random.Random(23), Producer({**kafka.properties(), "linger.ms": 5})
    values: Counter[bytes] = Counter()
    nulls = 0
    for number in range(RECORDS):
        value = spoilt_value(rng, number)
        name = rng.choice(HEADER_NAMES)
        headers: Any = [(name, rng.choice([None, b"", rng.randbytes(5)])) for _ in range(rng.randrange(3))]
        key = rng.choice([None, b"", rng.randbytes(8)])
        producer.produce(topic, value, key, number % PARTITIONS, headers=headers)
        if value is None:
            nulls += 1
        else:
            values[value] += 1
        producer.poll(0)
    assert producer.flush(60) == 0
    return values, nulls


def test_ten_thousand_spoilt_records_are_all_accounted_for(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Accepted events and dead letters together are what was produced, byte for byte, and nothing crashes."""
    topic = kafka.clients.create_topic(unique("spoilt"), PARTITIONS)
    produced, nulls = produce_spoilt(kafka, topic)
    with Simulator(Config(org=ORG, keep_bytes=True)) as sim:
        config = configure(sim.inlet_url, topic, dead_letter={"flood_guard": 0})
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, group, topic, PARTITIONS), 90, bridge.tail())

            assert bridge.metric("aep_bridge_records_skipped_total") == nulls
            assert bridge.crash_lines() == []
            assert bridge.peak_bytes() < bridge.printed_ceiling_bytes()
            assert bridge.stop() == 0
        dead_letters = kafka.clients.read_all(f"{topic}.dlq")
        check_dead_letters(kafka.clients.read_all(topic), dead_letters)
        not_dead_lettered = produced - Counter(letter.value() or b"" for letter in dead_letters)
        accepted = sim.accounting.accepted
        for event in accepted.keys() - sim.accounting.ids_with_changed_bytes - {""}:
            assert accepted[event] == not_dead_lettered[sim.message(event) or b""], event

        assert sim.stats["messages_accepted"] + len(dead_letters) == produced.total()
        assert len(accepted) > 1000


def check_dead_letters(records: list[Message], dead_letters: list[Message]) -> None:
    """Compare key, value and own headers of each dead letter with the record that its headers name."""
    by_position = {(record.partition(), record.offset()): record for record in records}
    for letter in dead_letters:
        headers = letter.headers() or []
        named = dict(headers)
        partition = int(named["__connect.errors.partition"] or b"")
        offset = int(named["__connect.errors.offset"] or b"")
        record = by_position[partition, offset]
        own_headers = record.headers() or []

        assert letter.key() == record.key()
        assert letter.value() == record.value()
        assert headers[: len(own_headers)] == own_headers
