"""Consumer and dead-letter producer keep the contract over librdkafka's mock cluster."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
from confluent_kafka import cimpl

from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.kafka.header_repair import UNREADABLE_NAME
from bridge.kafka.statistics import ClientStatistics, parse_statistics
from bridge.model import TopicPartition
from tests.contract.suite import DeadLetterContract, SourceContract
from tests.contract.worlds import MockWorld, World
from tests.support.clients import Clients
from tests.support.listener import RecordingListener, collect


class TestMockCluster(SourceContract, DeadLetterContract):
    @pytest.fixture
    def world(self) -> Iterator[World]:
        world = MockWorld()
        yield world
        world.close()


def test_a_header_whose_name_is_not_utf_8_does_not_stop_the_reading() -> None:
    """The client raises a `SystemError` at the first access to such headers. The record must be read all
    the same, with that header renamed, or the process would end again after every restart.
    """
    renamed: list[tuple[object, ...]] = []
    with MockCluster(topics={"a": 1}) as cluster:
        produce_raw_header(cluster.bootstrap, b"a", b"caf\xe9")
        Clients({"bootstrap.servers": cluster.bootstrap}).produce("a", [b"after"], headers=[("good", b"1")])
        callbacks = ConsumerCallbacks(on_headers_renamed=lambda *details: renamed.append(details))
        source = KafkaConsumer(
            {"bootstrap.servers": cluster.bootstrap, "group.id": "g"},
            ["a"],
            lambda _: False,
            RecordingListener(),
            callbacks,
        )

        collected = collect(source, lambda read: read.count() >= 2)
        headers = [list(record.headers() or ()) for part in collected.slices for record in part.records]
        source.close()

    assert collected.values == {TopicPartition("a", 0): [b"v1", b"after"]}
    assert headers == [[(UNREADABLE_NAME, b"x"), ("good", b"y")], [("good", b"1")]]
    assert renamed == [(TopicPartition("a", 0), [0])]


def test_the_statistics_of_the_installed_client_are_readable() -> None:
    """Their format is librdkafka's, and may change with its version."""
    published: list[ClientStatistics | None] = []
    with MockCluster(topics={"a": 1}) as cluster:
        Clients({"bootstrap.servers": cluster.bootstrap}).produce("a", [b"1", b"2", b"3"])
        source = KafkaConsumer(
            {"bootstrap.servers": cluster.bootstrap, "group.id": "g", "statistics.interval.ms": 50},
            ["a"],
            lambda _: False,
            RecordingListener(),
            ConsumerCallbacks(on_statistics=lambda text: published.append(parse_statistics(text))),
        )
        complete = ClientStatistics({TopicPartition("a", 0): 3}, group_is_steady=True)
        collect(source, lambda _: complete in published)
        source.close()

    assert None not in published


def produce_raw_header(bootstrap: str, topic: bytes, name: bytes) -> None:
    """Produce a record `v1` with a header name of any bytes, which the Python client would not take."""
    library = ctypes.CDLL(cimpl.__file__)
    library.rd_kafka_conf_new.restype = library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_conf_set.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    text = ctypes.create_string_buffer(512)
    configuration = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(configuration, b"bootstrap.servers", bootstrap.encode(), text, 512)
    handle = ctypes.c_void_p(library.rd_kafka_new(0, configuration, text, 512))
    number, string = ctypes.c_int, ctypes.c_char_p
    parts = [
        number(1),
        string(topic),
        number(3),
        ctypes.c_int32(0),
        number(4),
        string(b"v1"),
        ctypes.c_size_t(2),
    ]
    parts += [
        number(9),
        string(name),
        string(b"x"),
        ctypes.c_ssize_t(1),
        number(9),
        string(b"good"),
        string(b"y"),
        ctypes.c_ssize_t(1),
        number(7),
        number(2),
        number(0),
    ]
    assert library.rd_kafka_producev(handle, *parts) == 0
    assert library.rd_kafka_flush(handle, 10_000) == 0
    library.rd_kafka_destroy(handle)
