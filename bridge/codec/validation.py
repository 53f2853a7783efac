"""Check the records of a slice, and group them by dataset.

A record has to be JSON in UTF-8, an object, and small enough, and it needs a dataset. A slice is checked as
a whole, and nearly all of them pass. Where something is wrong with it, it is checked in ever smaller parts,
and the last few records one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import cast

import msgspec
from msgspec import UNSET, UnsetType

from bridge.codec.envelope import insert_dataset_id
from bridge.codec.record_check import check_record
from bridge.codec.record_groups import (
    PROFILE_LIMIT_BYTES,
    RecordGroup,
    count_oversize,
    merge_adjacent,
    merge_by_dataset,
    shifted,
)
from bridge.codec.request import FRAME_BYTES, MAX_REQUEST_BYTES
from bridge.codec.routes import Route
from bridge.model import Format

PART_RECORDS = 32
"""Size of the parts of a slice that does not pass as a whole. A part that does not pass is cut in four."""
_FEW_RECORDS = 2
"""A part as small as this is not cut again: its records are checked one by one."""
_NEEDS_CAREFUL_CHECK = (msgspec.DecodeError, TypeError, ValueError, RecursionError)
"""What the check of a whole slice raises where one of its records needs the careful check."""


class _Header(msgspec.Struct, gc=False):
    datasetId: str | UnsetType = UNSET


class _Envelope(msgspec.Struct, gc=False):
    header: _Header


class _Object(msgspec.Struct, gc=False):
    pass


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_object = msgspec.json.Decoder(_Object).decode


def group_records(
    route: Route, values: Sequence[bytes | None], *, in_order: bool = True
) -> list[RecordGroup]:
    """Check every value of a slice, and return the groups of its records. Never raises.

    With `in_order`, a group's records follow each other, and so do the groups. Without it, a dataset has one
    group, whatever lies between its records.
    """
    try:
        # A null value raises TypeError.
        return group_valid_slice(route, values, in_order)  # type: ignore[arg-type]
    except _NEEDS_CAREFUL_CHECK:
        groups = _group_in_parts(route, values, in_order, PART_RECORDS)
        return merge_adjacent(groups) if in_order else merge_by_dataset(groups)


def group_valid_slice(route: Route, values: Sequence[bytes], in_order: bool) -> list[RecordGroup]:
    """Group a slice of which every record is valid, with few steps for each record.

    Raises one of `_NEEDS_CAREFUL_CHECK` where any record needs the careful check.
    """
    if not values:
        return []
    pieces: Sequence[bytes] = values
    datasets: Sequence[str | None]
    if route.format is Format.ENVELOPE:
        named = [message.header.datasetId for message in map(_decode_envelope, values)]
        # Most slices name one dataset; to see that, comparing (count) is cheaper than hashing (set).
        same = named.count(named[0]) == len(named)
        distinct = named[:1] if same else set(named)
        if "" in distinct or (UNSET in distinct and route.dataset_id is None):
            raise ValueError
        if UNSET in distinct:
            default = cast("str", route.dataset_id)
            pieces = [
                _with_dataset(value, default) if name is UNSET else value
                for name, value in zip(named, values, strict=True)
            ]
            named = [default if name is UNSET else name for name in named]
            same = named.count(default) == len(named)
        datasets = cast("list[str | None]", named)
    else:
        for _ in map(_decode_object, values):
            pass
        datasets, same = [route.dataset_id], True
    if not all(map(bytes.isascii, values)):
        # Each value begins and ends in ASCII, so all of them together are UTF-8 exactly where each one is.
        b"".join(values).decode()
    if route.format is Format.ENTITY:
        before, after = route.wrapper
        pieces = [before + value + after for value in values]
    largest = max(map(len, pieces))
    if largest + FRAME_BYTES > MAX_REQUEST_BYTES:
        raise ValueError
    count = count_oversize if largest > PROFILE_LIMIT_BYTES else _none
    if same:
        return [RecordGroup(0, len(values), datasets[0], pieces, None, count(pieces))]
    split = _split_in_order if in_order else _split_by_dataset
    return split(datasets, pieces, count)


def _split_in_order(
    datasets: Sequence[str | None], pieces: Sequence[bytes], count: Callable[[Sequence[bytes]], int]
) -> list[RecordGroup]:
    groups, start = [], 0
    for dataset, adjacent in groupby(datasets):
        stop = start + sum(1 for _ in adjacent)
        part = pieces[start:stop]
        groups.append(RecordGroup(start, stop, dataset, part, None, count(part)))
        start = stop
    return groups


def _split_by_dataset(
    datasets: Sequence[str | None], pieces: Sequence[bytes], count: Callable[[Sequence[bytes]], int]
) -> list[RecordGroup]:
    indexes_of: dict[str | None, list[int]] = {}
    for index, dataset in enumerate(datasets):
        indexes_of.setdefault(dataset, []).append(index)
    groups = []
    for dataset, indexes in indexes_of.items():
        part = [pieces[index] for index in indexes]
        groups.append(RecordGroup(indexes[0], indexes[-1] + 1, dataset, part, None, count(part), indexes))
    return groups


def _with_dataset(message: bytes, dataset_id: str) -> bytes:
    """Return the message with the route's dataset in its header, which names none."""
    piece = insert_dataset_id(message, dataset_id, absent=True)
    if piece is None:
        raise ValueError
    return piece


def _none(_: Sequence[bytes]) -> int:
    return 0


def _group_in_parts(
    route: Route, values: Sequence[bytes | None], in_order: bool, size: int
) -> list[RecordGroup]:
    """Group part by part, so that few valid records share the slow, careful check with a bad one."""
    groups: list[RecordGroup] = []
    for first in range(0, len(values), size):
        part = values[first : first + size]
        try:
            of_part = group_valid_slice(route, part, in_order)  # type: ignore[arg-type]  # see above
        except _NEEDS_CAREFUL_CHECK:
            if size > _FEW_RECORDS:
                of_part = _group_in_parts(route, part, in_order, size // 4)
            else:
                of_part = group_one_by_one(route, part)
        groups += [shifted(group, first) for group in of_part]
    return groups


def group_one_by_one(route: Route, values: Sequence[bytes | None]) -> list[RecordGroup]:
    """Group after the careful check of each record."""
    return merge_adjacent([check_record(route, index, value) for index, value in enumerate(values)])
