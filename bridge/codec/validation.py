"""What a record is, and where it goes: checked JSON with an inlet and a dataset, or a refusal that says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from bridge.codec import lone_surrogates as halfpairs
from bridge.codec.envelope import insert_dataset_id
from bridge.codec.request import FRAME_BYTES, MAX_REQUEST_BYTES
from bridge.codec.routes import Route
from bridge.model import Format, Reason, Refusal

_T = TypeVar("_T")

PROFILE_LIMIT = 10_000
"""Bytes of an event above which Profile drops it silently, after a 207."""
PART, FEW = 32, 2
"""Records that are sorted together where something is odd with one of a slice, and at least."""
_ODD = (msgspec.DecodeError, TypeError, ValueError, RecursionError)
"""What the common case raises."""


class _Header(msgspec.Struct, gc=False):
    datasetId: str | UnsetType = UNSET


class _Envelope(msgspec.Struct, gc=False):
    header: _Header


class _Object(msgspec.Struct, gc=False):
    pass


class _LenientHeader(msgspec.Struct):
    datasetId: msgspec.Raw | UnsetType = UNSET


class _LenientEnvelope(msgspec.Struct):
    header: msgspec.Raw | UnsetType = UNSET


_envelope = msgspec.json.Decoder(_Envelope).decode
_object = msgspec.json.Decoder(_Object).decode
_lenient_envelope = msgspec.json.Decoder(_LenientEnvelope).decode
_lenient_header = msgspec.json.Decoder(_LenientHeader).decode
_anything = msgspec.json.Decoder(msgspec.Raw).decode


@dataclass(frozen=True, slots=True)
class RecordGroup:
    """Records of a slice (`start` to `stop`) with one destination, one refusal, or nothing to do (a skipped null value)."""

    start: int
    stop: int
    dataset: str | None = None
    pieces: Sequence[bytes] = ()
    refusal: Refusal | None = None
    oversize: int = 0
    """Records that Profile will drop for their size."""
    indexes: Sequence[int] | None = None
    """Which of the slice's records they are, in order, where others lie between them."""

    def select(self, items: Sequence[_T]) -> Sequence[_T]:
        """Those of a slice's records, or values, that are its own."""
        if self.indexes is not None:
            return [items[at] for at in self.indexes]
        return items if self.stop - self.start == len(items) else items[self.start : self.stop]

    def __len__(self) -> int:
        return self.stop - self.start if self.indexes is None else len(self.indexes)


def group_records(
    route: Route, values: Sequence[bytes | None], *, in_order: bool = True
) -> list[RecordGroup]:
    """The runs of a slice. Each value is checked here: JSON in UTF-8, an object, with a dataset, small enough.

    `in_order`: each run's records are consecutive, and runs are in order. Else a dataset has one run, whatever lies between its records.
    """
    try:
        return _sort_fast(route, values, in_order)  # type: ignore[arg-type]  # a null value raises TypeError
    except _ODD:
        runs = _sort_parts(route, values, in_order)
        return _joined(runs) if in_order else _gathered(runs)


def _sort_fast(route: Route, values: Sequence[bytes], in_order: bool) -> list[RecordGroup]:
    """The common case, a whole slice at a time; raises where any record needs a closer look."""
    if not values:
        return []
    datasets: list[str | None]
    pieces: Sequence[bytes] = values
    if route.format is Format.ENVELOPE:
        named = [message.header.datasetId for message in map(_envelope, values)]
        alike = named.count(named[0]) == len(named)  # the usual case; comparing is cheaper than hashing
        distinct = named[:1] if alike else set(named)
        if "" in distinct or (UNSET in distinct and route.dataset_id is None):
            raise ValueError
        if UNSET in distinct:
            given = cast("str", route.dataset_id)
            pieces = [
                _inserted(value, given) if name is UNSET else value
                for name, value in zip(named, values, strict=True)
            ]
            named = [given if name is UNSET else name for name in named]
            alike = named.count(given) == len(named)
        datasets = cast("list[str | None]", named)
    else:
        for _ in map(_object, values):
            pass
        datasets, alike = [route.dataset_id], True
    if not all(map(bytes.isascii, values)):
        b"".join(
            values
        ).decode()  # each value begins and ends in ASCII, so the whole is valid exactly where each is
    if route.format is Format.ENTITY:
        before, after = route.wrapper
        pieces = [before + value + after for value in values]
    largest = max(map(len, pieces))
    if largest + FRAME_BYTES > MAX_REQUEST_BYTES:
        raise ValueError
    count = _oversize if largest > PROFILE_LIMIT else _none
    if alike:
        return [RecordGroup(0, len(values), datasets[0], pieces, None, count(pieces))]
    runs, start = [], 0
    if in_order:
        for dataset, group in groupby(datasets):
            stop = start + sum(1 for _ in group)
            part = pieces[start:stop]
            runs.append(RecordGroup(start, stop, dataset, part, None, count(part)))
            start = stop
        return runs
    rows: dict[str | None, list[int]] = {}
    for at, dataset in enumerate(datasets):
        rows.setdefault(dataset, []).append(at)
    for dataset, where in rows.items():
        part = [pieces[at] for at in where]
        runs.append(RecordGroup(where[0], where[-1] + 1, dataset, part, None, count(part), where))
    return runs


def _inserted(value: bytes, dataset_id: str) -> bytes:
    """The message with the route's dataset in its header, which has none."""
    piece = insert_dataset_id(value, dataset_id, absent=True)
    if piece is None:
        raise ValueError
    return piece


def _none(_: Sequence[bytes]) -> int:
    return 0


def _oversize(pieces: Sequence[bytes]) -> int:
    return sum(len(piece) > PROFILE_LIMIT for piece in pieces)


def _sort_parts(
    route: Route, values: Sequence[bytes | None], in_order: bool, size: int = PART
) -> list[RecordGroup]:
    """Part by part, so that an odd record is looked at with few of its neighbours: the careful way takes ten times as long."""
    runs: list[RecordGroup] = []
    for first in range(0, len(values), size):
        part = values[first : first + size]
        try:
            found = _sort_fast(route, part, in_order)  # type: ignore[arg-type]
        except _ODD:
            found = _sort_parts(route, part, in_order, size // 4) if size > FEW else _sort_each(route, part)
        runs += [_moved(run, first) for run in found]
    return runs


def _sort_each(route: Route, values: Sequence[bytes | None]) -> list[RecordGroup]:
    """Record by record."""
    return _joined([_check(route, at, value) for at, value in enumerate(values)])


def _moved(run: RecordGroup, by: int) -> RecordGroup:
    rows = None if run.indexes is None else [by + at for at in run.indexes]
    return replace(run, start=by + run.start, stop=by + run.stop, indexes=rows)


def _joined(runs: list[RecordGroup]) -> list[RecordGroup]:
    """Neighbours that go the same way are one run."""
    joined: list[RecordGroup] = []
    for run in runs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and run.refusal is None is last.refusal
            and bool(run.pieces) == bool(last.pieces)
            and run.dataset == last.dataset
        ):
            joined[-1] = RecordGroup(
                last.start,
                run.stop,
                last.dataset,
                [*last.pieces, *run.pieces],
                None,
                last.oversize + run.oversize,
            )
        else:
            joined.append(run)
    return joined


def _gathered(runs: list[RecordGroup]) -> list[RecordGroup]:
    """All that go the same way are one run, wherever they are."""
    ways: dict[tuple[str | None, bool], list[RecordGroup]] = {}
    for run in runs:
        if run.refusal is None:
            ways.setdefault((run.dataset, bool(run.pieces)), []).append(run)
    gathered = [run for run in runs if run.refusal is not None]
    for (dataset, _), same in ways.items():
        rows = [
            at
            for run in same
            for at in (run.indexes if run.indexes is not None else range(run.start, run.stop))
        ]
        pieces = [piece for run in same for piece in run.pieces]
        gathered.append(
            RecordGroup(rows[0], rows[-1] + 1, dataset, pieces, None, sum(run.oversize for run in same), rows)
        )
    return gathered


def _check(route: Route, at: int, value: bytes | None) -> RecordGroup:
    def refuse(reason: Reason, error: str) -> RecordGroup:
        return RecordGroup(at, at + 1, route.dataset_id, refusal=Refusal(reason, error))

    if value is None:
        if route.tombstones:
            return refuse(
                Reason.TOMBSTONE,
                "the value is null (a tombstone), and dead_letter.tombstones says dead_letter",
            )
        return RecordGroup(at, at + 1)
    read, named, state = value, None, "no header"
    try:
        read = _readable(value)
        value.decode()
        if route.format is Format.ENVELOPE and _is_object(value):
            named, state = _dataset(read)
    except RecursionError:
        return refuse(Reason.NOT_JSON, "the value nests too deeply (some 1,000 levels are checked)")
    except UnicodeDecodeError as error:
        return refuse(
            Reason.NOT_JSON, f"the value is not UTF-8: byte {error.start} is 0x{value[error.start]:02x}"
        )
    except msgspec.DecodeError as error:
        return refuse(Reason.NOT_JSON, f"the value is not JSON: {error}")
    if not _is_object(value):
        return refuse(
            Reason.NOT_AN_OBJECT,
            f"the value is JSON, but not an object: it begins with {value.lstrip()[:20]!r}",
        )
    dataset, piece = route.dataset_id, value
    if route.format is Format.ENTITY:
        piece = route.wrapper[0] + value + route.wrapper[1]
    elif route.format is Format.ENVELOPE:
        if state == "wrong":
            return refuse(Reason.NO_ROUTE, f"header.datasetId is {named}; a non-empty string is needed")
        if named is not None:
            if read is not value and _dataset(halfpairs.replaced(value, b"\\u0021") or value)[0] != named:
                return refuse(
                    Reason.NO_ROUTE,
                    "header.datasetId has half a surrogate pair in it, and no dataset's id has",
                )
            dataset = named
        elif route.dataset_id is None:
            return refuse(
                Reason.NO_ROUTE,
                f"the header names no datasetId, and the route {route.name} has no dataset_id",
            )
        elif state != "no header":  # without a header AEP says what is wrong
            piece = (
                insert_dataset_id(value, route.dataset_id, absent=state == "absent", readable=read) or value
            )
    if len(piece) + FRAME_BYTES > MAX_REQUEST_BYTES:
        return refuse(
            Reason.TOO_LARGE,
            f"the message is {len(piece):,} bytes; a request may have {MAX_REQUEST_BYTES:,}, its wrapper of {FRAME_BYTES} included",
        )
    return RecordGroup(at, at + 1, dataset, [piece], None, _oversize([piece]))


def _readable(value: bytes) -> bytes:
    """The value, or a copy of it that msgspec reads where only halves of surrogate pairs keep it from that. Raises DecodeError, RecursionError."""
    try:
        _anything(value)
    except msgspec.DecodeError:
        copy = halfpairs.replaced(value)
        if copy is None:
            raise
        _anything(copy)
        return copy
    return value


def _is_object(value: bytes) -> bool:
    """Whether a checked value is an object."""
    return value.lstrip(b" \t\r\n")[:1] == b"{"


def _dataset(value: bytes) -> tuple[str | None, str]:
    """`header.datasetId` of a checked envelope, and what state it is in: there, absent, null, wrong, or no header to hold it."""
    header = _lenient_envelope(value).header
    if header is UNSET:
        return None, "no header"
    try:
        dataset = _lenient_header(header).datasetId
    except msgspec.DecodeError:
        return None, "no header"
    if dataset is UNSET:
        return None, "absent"
    text = bytes(dataset).strip()
    if text == b"null":
        return None, "null"
    if text.startswith(b'"') and (
        found := msgspec.json.decode(text, type=str)
    ):  # nothing else is decoded: 1e999 is JSON, and no number of ours
        return found, "there"
    return text[:40].decode("utf-8", "replace"), "wrong"
