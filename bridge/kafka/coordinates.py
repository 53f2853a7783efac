"""The coordinates of a record, parsed from texts that anybody may have written, such as headers. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from bridge.model import Headers

_TOPIC_NAME = re.compile(rb"[a-zA-Z0-9._-]{1,249}")
"""What Kafka accepts as a topic's name."""
_MAX_PARTITION, _MAX_OFFSET = 2**31 - 1, 2**63 - 1
_PREFIX = "__connect.errors."


class Coordinates(NamedTuple):
    """Where a record is, or was read: topic, partition and offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def parse_number(text: bytes | None, most: int) -> int | None:
    """Return a decimal number from 0 to `most`, which is at most 2⁶³-1; None for any other text."""
    if text is None or not 0 < len(text) <= 19 or not text.isdigit():
        return None
    number = int(text)
    return number if number <= most else None


def parse_coordinates(
    topic: bytes | None, partition: bytes | None, offset: bytes | None
) -> Coordinates | None:
    """Return the coordinates that three texts name; None where no record can have them."""
    offset_number = parse_number(offset, _MAX_OFFSET)
    partition_number = parse_number(partition, _MAX_PARTITION)
    if topic is None or offset_number is None or partition_number is None:
        return None
    if not _TOPIC_NAME.fullmatch(topic):
        return None
    return Coordinates(topic.decode(), partition_number, offset_number)


def original_coordinates(headers: Headers) -> Coordinates | None:
    """Return where a dead letter's record was read the first time, as its headers say; None if they don't.

    The last header of each name counts: a dead letter's own headers stand behind those of the record.
    """
    last = {name: value for name, value in headers if name.startswith(_PREFIX)}
    return parse_coordinates(
        last.get(f"{_PREFIX}topic"), last.get(f"{_PREFIX}partition"), last.get(f"{_PREFIX}offset")
    )
