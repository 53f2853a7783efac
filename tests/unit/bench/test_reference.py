"""The reference lines: no dearer than they have to be, and over the bridge's own settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.reference import Bodies, consumer_settings
from bridge.codec.request import body
from bridge.config.settings import KafkaSettings


@given(st.lists(st.lists(st.integers(1, 120), max_size=12), max_size=8))
def test_slices_make_the_same_bodies_as_a_loop_over_records(reads: list[list[int]]) -> None:
    """As full as can be, in order, nothing left out; only a first record may be larger than a body."""
    bodies = Bodies(max_bytes=200, max_messages=6)
    pieces = [[b"%c" % (ord("a") + n % 26) * size for n, size in enumerate(read)] for read in reads]
    found = [full for read in pieces for full in bodies.add(read)]
    flat = [piece for read in pieces for piece in read]

    expected: list[list[bytes]] = [[]]
    for piece in flat:
        if expected[-1] and (len(body([*expected[-1], piece])) > 200 or len(expected[-1]) == 6):
            expected.append([])
        expected[-1].append(piece)
    whole = expected if len(expected[-1]) == 6 else expected[:-1]
    assert whole == found


def test_the_consumer_is_set_as_the_bridges_is() -> None:
    """All that the bridge's configuration gives its consumer is there, but for the name of the group and the marks at the ends of partitions."""
    ours = KafkaSettings(bootstrap_servers="broker:9092", group_id="g").consumer_properties()
    settings = consumer_settings("broker:9092")

    assert {"group.id", "enable.partition.eof"} == {
        name for name, value in ours.items() if settings[name] != value
    }
    assert 2000 == settings["statistics.interval.ms"]
