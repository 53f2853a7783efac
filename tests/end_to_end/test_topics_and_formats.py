"""What is read and how it is sent, on a real broker: formats, tombstones, large records, regexes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.simulator import Config, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed, dead_letter_keys, produce_keyed
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, SCHEMA, envelope

pytestmark = pytest.mark.timeout(180)

ODD_ENTITY = (
    '{ "_id" : "%s", "big":9400100000000000000000, "exp": 1e400,"twice":1, "twice" : 2.50,'
    '\t"esc":"\\u00e9\\/ \\ud83d\\ude00", "ünï": "ö" }'
)
"""Valid JSON that changes if it is parsed and written again."""


def test_the_bytes_of_an_entity_arrive_unchanged(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """With `format: entity` the value is put between header and body, and not one of its bytes changes."""
    topic = kafka.clients.create_topic(unique("entity"), 1)
    with Simulator(Config(keep_bytes=True)) as sim:
        events = [(f"n{number}", (ODD_ENTITY % f"n{number}").encode()) for number in range(50)]
        produce_keyed(kafka, topic, events, 1)
        route = {
            "topic": topic,
            "format": "entity",
            "dataset_id": DATASETS[1],
            "schema_id": SCHEMA,
            "schema_version": "1",
        }
        config = configure(sim, topics=[route])
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic), 60, bridge.tail())
        assert sim.accepted.keys() == {event for event, _ in events}
        for event, value in events:
            header = sim.message(event).split(b',"body"')[0].removeprefix(b'{"header":')

            assert sim.entity(event) == value
            assert json.loads(header)["datasetId"] == DATASETS[1]


def test_the_mapping_names_the_dataset_where_the_header_has_none(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """The dataset is written into an envelope without one. An envelope with a dataset is not touched."""
    topic = kafka.clients.create_topic(unique("dataset"), 1)
    with Simulator(Config(keep_bytes=True)) as sim:
        own = envelope("own", sim.config.org, dataset=DATASETS[0])
        without = envelope("other", sim.config.org, dataset=None)
        produce_keyed(kafka, topic, [("own", own), ("other", without)], 1)
        config = configure(sim, topics=[{"topic": topic, "dataset_id": DATASETS[1]}])
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic), 60, bridge.tail())
        sent = sim.message("other")

        assert sim.message("own") == own
        assert sent.replace(b'"datasetId":"%b",' % DATASETS[1].encode(), b"") == without
        assert sent.count(b"datasetId") == 1


def test_tombstones_are_skipped_counted_and_settled(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A null value moves the offset and does nothing else."""
    topic = kafka.clients.create_topic(unique("null"), 1)
    with Simulator(Config()) as sim:
        kafka.clients.produce(topic, [None, envelope("x", sim.config.org), None], key=b"k")
        config = configure(sim, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic), 60, bridge.tail())

            assert bridge.metric("aep_bridge_records_skipped_total", reason="tombstone") == 2
        assert list(sim.accepted) == ["x"]
        assert dead_letter_keys(kafka, topic) == {}


def test_a_record_that_no_request_can_hold_is_dead_lettered_whole(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """More than a megabyte can't be sent, and the dead letter holds all of it. A megabyte is sent."""
    topic = kafka.clients.create_topic(unique("large"), 1, max_message_bytes="3000000")
    with Simulator(Config()) as sim:
        large = envelope("large", sim.config.org, size=2_000_000)
        largest_sent = envelope("edge", sim.config.org, size=999_985)
        small = envelope("ok", sim.config.org)
        produce_keyed(kafka, topic, [("large", large), ("edge", largest_sent), ("ok", small)], 1)
        config = configure(sim, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic), 60, bridge.tail())
        letter = kafka.clients.read_all(f"{topic}.dlq")[0]

        assert letter.key() == b"large"
        assert letter.value() == large
        assert sim.accepted.keys() == {"edge", "ok"}
        assert sim.stats["max_request_bytes"] == 1_000_000


def test_a_regex_reads_every_matching_topic_but_never_a_dead_letter_topic(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Topics that are created later are read too, and each has its own dead-letter topic.

    The regex matches the dead-letter topics as well. As long as no topic matches, there is no group to join:
    that is logged, and the process is ready.
    """
    prefix = unique("rx")
    with Simulator(Config()) as sim:
        quick_discovery = {"topic.metadata.refresh.interval.ms": 1000}
        topics = [{"topic": f"^{prefix}-.*"}]
        config = configure(sim, topics=topics, kafka={"properties": quick_discovery})
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_ready()
            assert "topics.missing" in bridge.tail()
            one = kafka.clients.create_topic(f"{prefix}-one", 1)
            produce_keyed(kafka, one, [("a", envelope("a", sim.config.org)), ("bad", b"junk")], 1)
            until(lambda: all_committed(kafka, group, one), 60, bridge.tail())
            two = kafka.clients.create_topic(f"{prefix}-two", 1)
            produce_keyed(kafka, two, [("b", envelope("b", sim.config.org)), ("worse", b"[]")], 1)
            until(lambda: all_committed(kafka, group, two), 90, bridge.tail())
            until(lambda: bridge.metric("aep_bridge_records_dead_lettered_total") == 2, 10, bridge.tail())

            assert bridge.metric("aep_bridge_records_read_total") == 4
        assert sim.accepted.keys() == {"a", "b"}
        assert list(dead_letter_keys(kafka, one)) == ["bad"]
        assert list(dead_letter_keys(kafka, two)) == ["worse"]
