"""An in-process Kafka for the demo and for fast tests: librdkafka's mock cluster, reached by ctypes in the client's own library.

The mock cluster's interface is experimental, so a missing symbol is an error that says so. Not evidence for transactions, static membership,
SASL, topic creation or retention: those need a real broker.
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
    """The installed Kafka client has no mock cluster that this room knows how to call."""


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(cimpl.__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError as problem:
            version = (
                confluent_kafka.version()[0]
                if isinstance(confluent_kafka.version(), tuple)
                else confluent_kafka.version()
            )
            raise MockClusterMissing(
                f"confluent-kafka {version} does not export {name}, so the in-process Kafka can't be started; "
                "install the wheel from PyPI (confluent-kafka>=2.16,<3), or use a real broker",
            ) from problem
        function.restype, function.argtypes = result, arguments
    return library


class MockCluster:
    """A context manager: brokers on loopback ports, topics with as many partitions as asked for, all of it gone at the end.

    `bootstrap` is the address list for clients, of this process or another.
    """

    def __init__(self, brokers: int = 1, topics: Mapping[str, int] | None = None) -> None:
        self._library = _library()
        self._brokers, self._topics = brokers, dict(topics or {})
        self._handle: int | None = None
        self._cluster: int | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        text = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(
            configuration, b"log_level", b"3", text, len(text)
        )  # errors: the handle has no bootstrap, and says so
        self._handle = self._library.rd_kafka_new(_PRODUCER, configuration, text, len(text))
        if not self._handle:
            raise MockClusterMissing(
                f"the in-process Kafka can't be started: {text.value.decode(errors='replace')}"
            )
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
        """Stops the brokers; clients that are still open see them as down. Can be called twice."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        if self._handle:
            self._library.rd_kafka_destroy(self._handle)
        self._cluster = self._handle = None

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Creates a topic; raises `ValueError` where the cluster refuses it."""
        error = self._library.rd_kafka_mock_topic_create(
            self._cluster, name.encode(), partitions, self._brokers
        )
        if error:
            raise ValueError(
                f"the in-process Kafka refused the topic {name!r} with {partitions} partitions: error {error}"
            )

    def down(self, broker: int = 1) -> None:
        """Takes a broker away: connections are closed and refused."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int = 1) -> None:
        """Brings a broker back."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def fail_next(self, api_key: int, errors: Sequence[int]) -> None:
        """Answers the next requests of this kind (Kafka's API key: 0 produce, 1 fetch, 8 commit) with these error codes, one each."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(errors), codes)
