"""Where a record's headers say that it came from, as far as anybody's headers can be believed. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from bridge.model import Headers

_TOPIC = re.compile(rb"[a-zA-Z0-9._-]{1,249}")
"""What Kafka takes for a name."""
_MAX_PARTITION, _MAX_OFFSET = 2**31 - 1, 2**63 - 1


class Coordinates(NamedTuple):
    """A record's coordinates."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def parse_number(text: bytes | None, most: int) -> int | None:
    """A decimal number from 0 to `most`, at most 2⁶³-1; None for everything else, of any length."""
    if text is None or not 0 < len(text) <= 19 or not text.isdigit():
        return None
    found = int(text)
    return found if found <= most else None


def parse_coordinates(
    topic: bytes | None, partition: bytes | None, offset: bytes | None
) -> Coordinates | None:
    """Coordinates that a record can have, out of their texts; None for all others."""
    at, where = parse_number(offset, _MAX_OFFSET), parse_number(partition, _MAX_PARTITION)
    if topic is None or at is None or where is None or not _TOPIC.fullmatch(topic):
        return None
    return Coordinates(topic.decode(), where, at)


def original_coordinates(headers: Headers) -> Coordinates | None:
    """Where a dead letter's record was read the first time. The last of each name counts: whoever wrote the letter wrote behind the record's own headers."""
    last = {name: value for name, value in headers if name.startswith("__connect.errors.")}
    return parse_coordinates(
        *(last.get(f"__connect.errors.{part}") for part in ("topic", "partition", "offset"))
    )
