"""Routes for the tests of what becomes of a slice, and what became of each of its records."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.codec.envelope import entity_wrapper
from bridge.codec.record_groups import RecordGroup
from bridge.codec.routes import Route
from bridge.model import Format, Reason

DATASET = "route-dataset"
MEMBER = b'"datasetId":"route-dataset"'
WRAPPER = entity_wrapper(schema_id="s", schema_version="1", ims_org_id="o", dataset_id=DATASET)
GOOD = b'{"header":{"datasetId":"a"}}'
"""A message for dataset `a`."""

Outcome = tuple[str | None, bytes | None, Reason | None]
"""A record's dataset, the message that is sent for it, and why it is refused."""


def route(
    format: Format = Format.ENVELOPE, dataset: str | None = DATASET, *, tombstones: bool = False
) -> Route:
    wrapper = WRAPPER if format is Format.ENTITY else (b"", b"")
    return Route("t", format, "inlet", dataset, wrapper, tombstones)


def wrapped(entity: bytes) -> bytes:
    return WRAPPER[0] + entity + WRAPPER[1]


def outcomes(groups: Sequence[RecordGroup], count: int) -> list[Outcome]:
    """One outcome for each record of a slice whose groups have to follow each other."""
    result: list[Outcome] = []
    for group in groups:
        assert group.start == len(result), "groups follow each other"
        assert group.indexes is None
        result += [_outcome(group, at) for at in range(group.stop - group.start)]
    assert len(result) == count
    return result


def unordered_outcomes(groups: Sequence[RecordGroup], count: int) -> list[Outcome]:
    """One outcome for each record of a slice whose groups may lie between each other."""
    result: dict[int, Outcome] = {}
    for group in groups:
        indexes = list(group.select(range(count)))
        assert indexes == sorted(indexes), "a group keeps the order of its records"
        assert (len(group), group.start, group.stop) == (len(indexes), indexes[0], indexes[-1] + 1)
        for at, index in enumerate(indexes):
            assert index not in result
            result[index] = _outcome(group, at)
    sent_to = [group.dataset for group in groups if group.pieces]
    assert len(sent_to) == len(set(sent_to)), "a dataset has one group"
    assert sorted(result) == list(range(count))
    return [result[index] for index in range(count)]


def _outcome(group: RecordGroup, at: int) -> Outcome:
    piece = group.pieces[at] if group.pieces else None
    return group.dataset, piece, group.refusal.reason if group.refusal else None
