"""A verdict for each message of a request, read from the body of AEP's multi-status response.

Nearly every response accepts everything, in AEP's usual spelling, and is recognised as a whole. Any other
one is read entry by entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from bridge.codec import lone_surrogates
from bridge.codec.error_text import UNREADABLE, ErrorFields


class VerdictKind(StrEnum):
    """What AEP said of a message, by what follows from it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """A permanent status: the fault is in the record."""
    RETRY = "retry"
    """A transient status, which says nothing about the record: send the message again."""
    SUSPECT = "suspect"
    """500: Adobe's pages call it a fault of the payload, and also an internal error that passes."""
    UNKNOWN = "unknown"
    """The response does not say."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What AEP said of one message."""

    kind: VerdictKind
    status: int | None = None
    error: str = ""


ACCEPTED = Verdict(VerdictKind.ACCEPTED)
UNKNOWN = Verdict(VerdictKind.UNKNOWN, None, "the response does not say what became of this message")
TRANSIENT = frozenset({401, 403, 408, 425, 429, 502, 503, 504})


def verdicts(response: bytes, count: int) -> list[Verdict]:
    """Return one verdict for each of the `count` messages of a request, read from the body of a 2xx response.

    A message that no entry stands for beyond doubt is unknown.
    """
    return [ACCEPTED] * count if _all_accepted(response, count) else _read_entries(response, count)


def kind_of_status(status: int) -> VerdictKind:
    """Return what a failure status of one message means for its record."""
    if status in TRANSIENT:
        return VerdictKind.RETRY
    if 400 <= status < 500:
        return VerdictKind.REFUSED
    if status == 500:
        return VerdictKind.SUSPECT
    return VerdictKind.RETRY if 500 < status < 600 else VerdictKind.UNKNOWN


# -- entry by entry --------------------------------------------------------------------


class _Entry(ErrorFields):
    xactionId: Any = None
    statusCode: Any = None
    status: Any = None


class _MultiStatus(msgspec.Struct):
    responses: list[_Entry]


_multi_status = msgspec.json.Decoder(_MultiStatus)


def _read_entries(response: bytes, count: int) -> list[Verdict]:
    """Attribute the entries by position unless an index contradicts it, else by the index that each names."""
    if not _is_utf8(response):
        return [UNKNOWN] * count
    try:
        entries = lone_surrogates.decode(
            _multi_status, response
        ).responses  # an error text may quote the message
    except UNREADABLE:
        return [UNKNOWN] * count
    indexes = [_index(entry.xactionId) for entry in entries]
    if len(entries) == count and all(index is None or index == at for at, index in enumerate(indexes)):
        return [_verdict(entry) for entry in entries]
    named = [index for index in indexes if index is not None]
    result = [UNKNOWN] * count
    if len(named) == len(entries) == len(set(named)) and all(0 <= index < count for index in named):
        for index, entry in zip(named, entries, strict=True):
            result[index] = _verdict(entry)
    return result


def _is_utf8(response: bytes) -> bool:
    """Return whether the response is UTF-8: the decoder does not look into the fields that it skips."""
    try:
        return response.isascii() or bool(response.decode())
    except UnicodeDecodeError:
        return False


def _index(xaction_id: object) -> int | None:
    """Return the message's index, which ends an id such as `<batchId>:<index>` or `<uuid>-<index>`."""
    if not isinstance(xaction_id, str):
        return None
    digits = xaction_id[max(xaction_id.rfind(":"), xaction_id.rfind("-")) + 1 :]
    if (
        len(digits) == len(xaction_id)
        or not 1 <= len(digits) <= 6
        or not (digits.isascii() and digits.isdigit())
    ):
        return None
    return int(digits)


def _verdict(entry: _Entry) -> Verdict:
    """Return what one entry says. AEP writes `statusCode` or `status`; of both, the larger counts."""
    if entry.statusCode is None and entry.status is None:
        return ACCEPTED if _is_id(entry.xactionId) else UNKNOWN
    statuses = [status for status in (_number(entry.statusCode), _number(entry.status)) if status is not None]
    if not statuses:
        return UNKNOWN
    status = max(statuses)
    if status < 400:
        return ACCEPTED if 200 <= status < 300 else UNKNOWN
    return Verdict(kind_of_status(status), status, entry.text())


def _is_id(xaction_id: object) -> bool:
    """Return whether this can be an id: a text that is not blank, or a number."""
    if isinstance(xaction_id, str):
        return bool(xaction_id.strip())
    return isinstance(xaction_id, int) and not isinstance(xaction_id, bool)


def _number(status: object) -> int | None:
    """Return a status that is written as a number, or as a text of digits."""
    if isinstance(status, bool):
        return None
    if isinstance(status, int):
        return status
    if isinstance(status, str) and status.strip().isascii() and status.strip().isdigit() and len(status) < 10:
        return int(status)
    return None


# -- everything accepted ---------------------------------------------------------------


class _Success(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    xactionId: str


class _Successes(msgspec.Struct):
    responses: list[_Success]


_successes = msgspec.json.Decoder(_Successes)
_FIRST_SUCCESS = re.compile(rb'"responses":\[(?=\{"xactionId":"([A-Za-z0-9][A-Za-z0-9:._-]*[:-])0"\})')
"""The list up to its first entry, which accepts message 0; the group is the entry's id without the index."""


def _all_accepted(response: bytes, count: int) -> bool:
    """Return whether every message is accepted, in order and in a usual spelling. False says nothing of them.

    Ids of different batches cost 0.2 ms for 1,000 entries; reading the entries costs 1.6 ms.
    """
    if not _is_utf8(response):
        return False
    if _all_of_one_batch(response, count):
        return True
    try:
        responses = _successes.decode(response).responses
    except UNREADABLE:
        return False
    if len(responses) != count or not count:
        return False
    ids = [entry.xactionId for entry in responses]
    return any(
        ids[0].endswith(f"{separator}0") and all(map(str.endswith, ids, _id_endings(separator, count)))
        for separator in ":-"
    )


def _all_of_one_batch(response: bytes, count: int) -> bool:
    """Return whether the entries are, byte for byte, successes of one batch id, numbered in order.

    1,000 entries cost 30 µs. What stands around the entries has to be JSON that ends with them: with an
    empty list in their place it decodes.
    """
    first = _FIRST_SUCCESS.search(response)
    if first is None:
        return False
    start, entry_start = first.end(), b'{"xactionId":"%b' % first[1]
    entries = b"%b%b%b" % (entry_start, (b'"},' + entry_start).join(_numbers(count)), b'"}]}')
    if response[start:] != entries:
        return False
    try:
        return not _multi_status.decode(response[:start] + b"]}").responses
    except UNREADABLE:
        return False


@lru_cache(maxsize=16)
def _id_endings(separator: str, count: int) -> tuple[str, ...]:
    return tuple(f"{separator}{number}" for number in range(count))


@lru_cache(maxsize=16)
def _numbers(count: int) -> tuple[bytes, ...]:
    return tuple(b"%d" % number for number in range(count))
