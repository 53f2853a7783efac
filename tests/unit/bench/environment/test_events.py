"""The synthetic events: their size, and what the bridge makes of them."""

from __future__ import annotations

import pytest

from bench.environment.events import DATASET, ORG, OTHER_DATASET, PARTITIONS, SCHEMA, SHAPES, events
from bridge.codec.envelope import entity_wrapper
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.model import Format


@pytest.mark.parametrize(
    ("shape", "datasets"),
    [
        ("envelope", {DATASET}),
        ("two-datasets", {DATASET, OTHER_DATASET}),
        ("no-dataset", {DATASET}),
        ("entity", {DATASET}),
    ],
)
def test_every_shape_of_event_becomes_messages_of_the_same_size(shape: str, datasets: set[str]) -> None:
    """The sink counts messages by length. Two datasets come in turn within each partition."""
    settings = SHAPES[shape].route
    wrapper = entity_wrapper(schema_id=SCHEMA, schema_version="1", ims_org_id=ORG, dataset_id=DATASET)
    event_format = Format(settings.get("format", "envelope"))
    route = Route("t", event_format, "inlet", settings.get("dataset_id"), wrapper)
    values = list(events(1000, 1024, shape))
    for partition in range(PARTITIONS):
        runs = group_records(route, values[partition::PARTITIONS])
        assert all(run.refusal is None for run in runs)
        assert {len(piece) for run in runs for piece in run.pieces} == {1024}
        assert {run.dataset for run in runs} == datasets
        assert len(runs) == (250 if len(datasets) == 2 else 1)
