"""The demo's sample events."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bridge.demo.samples import samples


def test_two_in_a_hundred_are_bad_in_every_way_and_all_ids_differ() -> None:
    """The demo accounts for events by their ids, and must show each kind of dead letter."""
    made = list(samples(800, org="o"))
    faults = Counter(sample.fault for sample in made)

    assert len({sample.id for sample in made}) == 800
    assert faults == {None: 786, "no body": 4, "wrong organisation": 4, "not JSON": 4, "too large": 2}
    assert {sample.topic for sample in made} == {"web-events", "profiles"}


def test_a_good_event_holds_the_id_that_it_is_accounted_by() -> None:
    """In an envelope as in a bare entity; one that is not JSON holds none that could be read."""
    for sample in samples(400, org="o"):
        if sample.fault == "not JSON":
            with pytest.raises(ValueError):
                json.loads(sample.value)
        elif sample.fault is None:
            value = json.loads(sample.value)
            entity = value["body"]["xdmEntity"] if sample.topic == "web-events" else value
            assert entity["_id"] == sample.id
