"""The careful check of one record: its message and dataset, or a refusal that says what is wrong with it.

It takes some ten times as long as the check of a whole slice, which validation.py tries first.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec
from msgspec import UNSET, UnsetType

from bridge.codec import lone_surrogates
from bridge.codec.envelope import insert_dataset_id
from bridge.codec.record_groups import RecordGroup, count_oversize
from bridge.codec.request import FRAME_BYTES, MAX_REQUEST_BYTES
from bridge.codec.routes import Route
from bridge.model import Format, Reason, Refusal


class _Header(msgspec.Struct):
    datasetId: msgspec.Raw | UnsetType = UNSET


class _Envelope(msgspec.Struct):
    header: msgspec.Raw | UnsetType = UNSET


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_anything = msgspec.json.Decoder(msgspec.Raw).decode


class _Named(Enum):
    """What an envelope's header says of the dataset."""

    DATASET = auto()
    NULL = auto()
    ABSENT = auto()
    """The header has no `datasetId`."""
    NO_HEADER = auto()
    """There is no header, or it is not an object."""
    INVALID = auto()
    """Something else than a text, or an empty one."""
    LONE_SURROGATE = auto()
    """A text with a lone surrogate in it, which no dataset's id has."""


def check_record(route: Route, index: int, value: bytes | None) -> RecordGroup:
    """Check one record of a slice, and return a group that holds only this record. Never raises."""

    def refuse(reason: Reason, error: str) -> RecordGroup:
        return RecordGroup(index, index + 1, route.dataset_id, refusal=Refusal(reason, error))

    if value is None:
        if not route.tombstones:
            return RecordGroup(index, index + 1)
        text = "the value is null (a tombstone), and dead_letter.tombstones says dead_letter"
        return refuse(Reason.TOMBSTONE, text)
    readable, named, text = value, _Named.NO_HEADER, ""
    try:
        readable = _readable(value)
        value.decode()
        if route.format is Format.ENVELOPE and _is_object(value):
            named, text = _named_dataset(value, readable)
    except RecursionError:
        return refuse(Reason.NOT_JSON, "the value nests too deeply (some 1,000 levels are checked)")
    except UnicodeDecodeError as error:
        byte = value[error.start]
        return refuse(Reason.NOT_JSON, f"the value is not UTF-8: byte {error.start} is 0x{byte:02x}")
    except msgspec.DecodeError as error:
        return refuse(Reason.NOT_JSON, f"the value is not JSON: {error}")
    if not _is_object(value):
        beginning = value.lstrip()[:20]
        return refuse(
            Reason.NOT_AN_OBJECT, f"the value is JSON, but not an object: it begins with {beginning!r}"
        )
    dataset, piece = route.dataset_id, value
    if route.format is Format.ENTITY:
        before, after = route.wrapper
        piece = before + value + after
    elif route.format is Format.ENVELOPE:
        if named is _Named.INVALID:
            return refuse(Reason.NO_ROUTE, f"header.datasetId is {text}; a non-empty string is needed")
        if named is _Named.LONE_SURROGATE:
            text = "header.datasetId has half a surrogate pair in it, and no dataset's id has"
            return refuse(Reason.NO_ROUTE, text)
        if named is _Named.DATASET:
            dataset = text
        elif dataset is None:
            text = f"the header names no datasetId, and the route {route.name} has no dataset_id"
            return refuse(Reason.NO_ROUTE, text)
        elif named is not _Named.NO_HEADER:  # AEP says itself that a header is missing
            absent = named is _Named.ABSENT
            piece = insert_dataset_id(value, dataset, absent=absent, readable=readable) or value
    if len(piece) + FRAME_BYTES > MAX_REQUEST_BYTES:
        return refuse(
            Reason.TOO_LARGE,
            f"the message is {len(piece):,} bytes; "
            f"a request may have {MAX_REQUEST_BYTES:,}, its wrapper of {FRAME_BYTES} included",
        )
    return RecordGroup(index, index + 1, dataset, [piece], None, count_oversize([piece]))


def _readable(value: bytes) -> bytes:
    """Return the value, or a copy without lone surrogates if they are all that msgspec objects to.

    Raises DecodeError or RecursionError if the value is not JSON.
    """
    try:
        _decode_anything(value)
    except msgspec.DecodeError:
        copy = lone_surrogates.replace(value)
        if copy is None:
            raise
        _decode_anything(copy)
        return copy
    return value


def _is_object(value: bytes) -> bool:
    """Return whether a value, which is JSON, is an object."""
    return value.lstrip(b" \t\r\n")[:1] == b"{"


def _named_dataset(value: bytes, readable: bytes) -> tuple[_Named, str]:
    """Return what an envelope's header says of the dataset, and the text that stands there."""
    named, text = _read_dataset(readable)
    if named is _Named.DATASET and readable is not value:
        # With another character in the place of each lone surrogate, an id that has one reads differently.
        other = lone_surrogates.replace(value, b"\\u0021")
        if _read_dataset(value if other is None else other) != (named, text):
            return _Named.LONE_SURROGATE, text
    return named, text


def _read_dataset(readable: bytes) -> tuple[_Named, str]:
    header = _decode_envelope(readable).header
    if header is UNSET:
        return _Named.NO_HEADER, ""
    try:
        dataset = _decode_header(header).datasetId
    except msgspec.DecodeError:
        return _Named.NO_HEADER, ""
    if dataset is UNSET:
        return _Named.ABSENT, ""
    literal = bytes(dataset).strip()
    if literal == b"null":
        return _Named.NULL, ""
    # Only a text is decoded: 1e999 is JSON, and msgspec has no number for it.
    if literal.startswith(b'"') and (name := msgspec.json.decode(literal, type=str)):
        return _Named.DATASET, name
    return _Named.INVALID, literal[:40].decode("utf-8", "replace")
