"""The Kafka client's own exceptions, turned into ours, so that the layers above
kafka/ do not import the client.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

T = TypeVar("T")

_NO_ANSWER = frozenset({
    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE,
    KafkaError._RESOLVE, KafkaError._UNKNOWN_BROKER, KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_CONTROLLER,
})  # fmt: skip
"""Codes of errors that mean that no broker, or not the right one, could be asked. They pass by waiting."""


class Unreachable(Exception):
    """No broker answered in time, or the cluster is not ready. The caller waits and asks again."""


class PropertiesRefused(Exception):
    """The Kafka client refuses a property of `kafka.properties`; the text is the client's own
    and names it.
    """


@contextmanager
def properties_checked() -> Iterator[None]:
    """Raise `PropertiesRefused` where the Kafka client refuses the properties that it is created with."""
    try:
        yield
    except KafkaException as problem:
        raise PropertiesRefused(text_of(problem)) from problem


def error_of(problem: KafkaException) -> KafkaError:
    """Return the client's error object: its code and its text."""
    error: KafkaError = problem.args[0]
    return error


def text_of(problem: KafkaException) -> str:
    """Return the text of the client's error, without its code."""
    return error_of(problem).str()


def means_no_answer(problem: KafkaException) -> bool:
    """Return whether no broker has answered, so that the caller may ask again."""
    return error_of(problem).code() in _NO_ANSWER


def answer_of(future: Future[T], timeout_s: float) -> T:
    """Return the brokers' answer. Raises `Unreachable` where none came,
    `KafkaException` where it is a refusal.
    """
    try:
        return future.result(timeout_s + 5)  # the client's own limit comes first, with the better text
    except TimeoutError:
        raise Unreachable(f"no broker answered within {timeout_s:g} s") from None
    except KafkaException as problem:
        if means_no_answer(problem):
            raise Unreachable(f"no broker answered: {text_of(problem)}") from None
        raise
