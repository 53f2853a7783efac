"""An in-process Kafka for the demo and for fast tests: librdkafka's mock cluster.

It lies in the Kafka client's own library, and is called by ctypes. Its interface is experimental, so a
missing symbol is an error that says so. Whether transactions, static membership, SASL, topic creation or
retention work can only be tested with a real broker.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Self

import confluent_kafka
from confluent_kafka import cimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGNATURES: Mapping[str, tuple[type | None, list[type]]] = {
    "rd_kafka_conf_new": (ctypes.c_void_p, []),
    "rd_kafka_conf_set": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t],
    ),
    "rd_kafka_new": (ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [ctypes.c_void_p]),
    "rd_kafka_mock_topic_create": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int],
    ),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_down": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_up": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
    ),
}

_PRODUCER = 0


class MockClusterMissing(Exception):
    """The installed Kafka client has no mock cluster with the interface that is called here."""


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(cimpl.__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError as problem:
            version = confluent_kafka.version()
            number = version[0] if isinstance(version, tuple) else version  # a tuple in older versions
            raise MockClusterMissing(
                f"confluent-kafka {number} does not export {name}, so the in-process Kafka can't be started; "
                "install the wheel from PyPI (confluent-kafka>=2.16,<3), or use a real broker"
            ) from problem
        function.restype = result
        function.argtypes = arguments
    return library


class MockCluster:
    """A context manager: brokers on loopback ports with some topics, all of it gone at the end.

    `bootstrap` is the address list for clients, which may be in another process.
    """

    def __init__(self, brokers: int = 1, topics: Mapping[str, int] | None = None) -> None:
        """`topics` are names with their numbers of partitions."""
        self._library = _library()
        self._brokers, self._topics = brokers, dict(topics or {})
        self._handle: int | None = None
        self._cluster: int | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        error = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        # Errors only (3): the handle has no bootstrap servers, and would log a warning about it.
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"3", error, len(error))
        self._handle = self._library.rd_kafka_new(_PRODUCER, configuration, error, len(error))
        if not self._handle:
            text = error.value.decode(errors="replace")
            raise MockClusterMissing(f"the in-process Kafka can't be started: {text}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, self._brokers)
        if not self._cluster:
            self.close()
            raise MockClusterMissing("the in-process Kafka can't be started: no loopback ports?")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        for name, partitions in self._topics.items():
            self.create_topic(name, partitions)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the brokers; clients that are still open see them as down. It can be called twice."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        if self._handle:
            self._library.rd_kafka_destroy(self._handle)
        self._cluster = self._handle = None

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic. Raises `ValueError` where the cluster refuses it."""
        error = self._library.rd_kafka_mock_topic_create(
            self._cluster, name.encode(), partitions, self._brokers
        )
        if error:
            raise ValueError(
                f"the in-process Kafka refused the topic {name!r} with {partitions} partitions: error {error}"
            )

    def down(self, broker: int = 1) -> None:
        """Take a broker down: its connections are closed, and new ones refused."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int = 1) -> None:
        """Bring a broker back up."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def fail_next(self, api_key: int, errors: Sequence[int]) -> None:
        """Answer the next requests of one kind with these error codes, one each.

        `api_key` is Kafka's number for the kind: 0 produce, 1 fetch, 8 commit.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(errors), codes)
