"""Repair the headers of records whose name is not UTF-8, so that their records can be handled.

The client (2.16) raises one of `UNREADABLE_ERRORS` at the first access to such headers, and from then on
returns tuples with a null pointer where the name should be. Using that null pointer ends the process; only
`repr` of the tuple is safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from confluent_kafka import Message

UNREADABLE_NAME = "aep.header-name-not-utf-8"
"""The name that a header gets in place of its own, which is not UTF-8."""

UNREADABLE_ERRORS = (SystemError, UnicodeDecodeError)
"""What the client raises at the first access to headers with such a name."""

_Header = tuple[str, bytes | None]


def rename_unreadable_headers(records: Iterable[Message]) -> list[int]:
    """Rename the headers whose name is not UTF-8 to `UNREADABLE_NAME`; return the offsets of their records.

    The values, the order and all other headers stay as they are.
    """
    offsets = []
    for record in records:
        headers = _headers(record)
        if any(map(_is_unreadable, headers)):
            record.set_headers([_renamed(header) for header in headers])
            offsets.append(cast("int", record.offset()))
    return offsets


def _headers(record: Message) -> list[_Header]:
    try:
        headers = record.headers()
    except UNREADABLE_ERRORS:
        headers = record.headers()  # the second access returns them, with null pointers for names
    return cast("list[_Header]", headers or [])


def _is_unreadable(header: _Header) -> bool:
    return repr(header).startswith("(<NULL>")


def _renamed(header: _Header) -> _Header:
    return (UNREADABLE_NAME, header[1]) if _is_unreadable(header) else header
