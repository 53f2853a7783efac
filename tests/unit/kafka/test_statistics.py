"""Reading the client's statistics."""

from __future__ import annotations

import json

import pytest

from bridge.kafka.statistics import ClientStatistics, parse_statistics
from bridge.model import TopicPartition


def statistics(partitions: dict[str, int], join_state: str = "steady") -> str:
    """A publication with the high watermark of each partition of topic `t`, and fields that nobody
    decodes.
    """
    listed = {
        number: {"partition": int(number), "hi_offset": offset, "ls_offset": 1}
        for number, offset in partitions.items()
    }
    return json.dumps(
        {
            "name": "rdkafka#consumer-1",
            "topics": {"t": {"topic": "t", "partitions": listed}},
            "cgrp": {"state": "up", "join_state": join_state},
        }
    )


def test_each_fetched_partition_has_its_end_offset() -> None:
    """The lag is computed from these."""
    assert parse_statistics(statistics({"0": 7, "12": 0})) == ClientStatistics(
        {TopicPartition("t", 0): 7, TopicPartition("t", 12): 0}, group_is_steady=True
    )


def test_a_partition_without_a_fetch_response_has_no_end_offset() -> None:
    """librdkafka shows a negative number (-1001) then, from which a negative lag would follow."""
    parsed = parse_statistics(statistics({"0": -1001, "1": 3}))

    assert parsed is not None
    assert parsed.end_offsets == {TopicPartition("t", 1): 3}


def test_the_internal_partition_is_left_out() -> None:
    """librdkafka lists its queue of unassigned messages as partition -1; no topic has that partition."""
    parsed = parse_statistics(statistics({"-1": 0, "0": 3}))

    assert parsed is not None
    assert parsed.end_offsets == {TopicPartition("t", 0): 3}


@pytest.mark.parametrize("join_state", ["init", "wait-join", "wait-sync", "wait-assign-call", ""])
def test_a_group_that_rebalances_is_not_steady(join_state: str) -> None:
    """The process reports itself as ready only once the group has given it an assignment."""
    parsed = parse_statistics(statistics({}, join_state))

    assert parsed is not None
    assert not parsed.group_is_steady


def test_statistics_without_a_group_are_not_steady() -> None:
    """Before the client knows its group, its statistics have no `cgrp`."""
    assert parse_statistics('{"topics": {}}') == ClientStatistics({}, group_is_steady=False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"topics": []}', '{"cgrp": {"join_state": 1}}'])
def test_a_text_in_another_format_is_none(text: str) -> None:
    """Another version of the client may publish something else: the bridge then keeps what it knew before."""
    assert parse_statistics(text) is None
