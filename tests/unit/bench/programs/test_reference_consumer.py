"""The reference lines: no dearer than they have to be, and with the bridge's own settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.programs.reference_consumer import Bodies, consumer_settings
from bridge.codec.request import body
from bridge.config.settings_kafka import KafkaSettings


@given(st.lists(st.lists(st.integers(1, 120), max_size=12), max_size=8))
def test_slices_make_the_same_bodies_as_a_loop_over_records(reads: list[list[int]]) -> None:
    """Bodies are as full as can be, in order, with nothing left out.

    Only a first record may be larger than a body.
    """
    bodies = Bodies(max_bytes=200, max_messages=6)
    pieces = [[b"%c" % (ord("a") + n % 26) * size for n, size in enumerate(read)] for read in reads]
    by_slices = []
    for read in pieces:
        by_slices += bodies.add(read)

    by_records: list[list[bytes]] = [[]]
    for read in pieces:
        for piece in read:
            is_full = len(body([*by_records[-1], piece])) > 200 or len(by_records[-1]) == 6
            if by_records[-1] and is_full:
                by_records.append([])
            by_records[-1].append(piece)
    full = by_records if len(by_records[-1]) == 6 else by_records[:-1]
    assert by_slices == full


def test_the_reference_consumer_has_the_settings_of_the_bridge() -> None:
    """Otherwise the ratio to reading alone would compare two configurations. Two settings differ on purpose:
    the name of the group, and the marks at the ends of partitions.
    """
    ours = KafkaSettings(bootstrap_servers="broker:9092", group_id="g").consumer_properties()
    settings = consumer_settings("broker:9092")

    different = {name for name, value in ours.items() if settings[name] != value}
    assert different == {"group.id", "enable.partition.eof"}
    assert settings["statistics.interval.ms"] == 2000
