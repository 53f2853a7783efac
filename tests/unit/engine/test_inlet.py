"""What the batches of one inlet share: hold, evidence, limits, Retry-After, the flood guard."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec.request import MAX_REQUEST_BYTES
from bridge.engine.inlet import FAILURES_BEFORE_HOLD, MAX_COUNTED_KEYS, MAX_KEY_CHARACTERS, MIN_LEARNED_BYTES
from tests.support.engine_values import inlet


def test_the_ceiling_of_requests_at_once_is_kept() -> None:
    """And a returned request makes room."""
    one = inlet(max_in_flight=2)
    one.request_sent(1, 0.0)

    assert one.ready_at(0.0) == 0.0
    one.request_sent(1, 0.0)
    assert one.ready_at(0.0) == math.inf
    one.response_received()
    assert one.ready_at(0.0) == 0.0


def test_ticks_count_requests_and_answers() -> None:
    """So that before and after can be told without a clock."""
    one = inlet()

    assert [one.request_sent(1, 0.0), one.request_sent(1, 0.0)] == [1, 2]
    one.response_received()
    assert one.request_sent(1, 0.0) == 4


def test_evidence_is_the_latest_request_that_was_accepted() -> None:
    """An older answer that comes later takes nothing back."""
    one = inlet()
    one.note_acceptance(1, 10, 7, 0.0)
    one.note_acceptance(1, 10, 3, 0.0)

    assert one.accepted_sent == 7


def test_what_producers_write_where_a_dataset_belongs_does_not_grow_memory() -> None:
    """Each record is refused with an id of its own in the message. Only the latest of these rows are counted,
    and no row is longer than an id can be.
    """
    one = inlet(flood_guard=10)
    for at in range(5 * MAX_COUNTED_KEYS):
        assert one.guard_refusals(f"dataset-{at}", 1, 0.0).allowed
        assert one.guard_refusals("x" * (MAX_KEY_CHARACTERS + 1), 1, 0.0).allowed

    assert len(one.refused_by_key) == MAX_COUNTED_KEYS
    assert f"dataset-{5 * MAX_COUNTED_KEYS - 1}" in one.refused_by_key


def test_a_held_inlet_probes_with_one_request() -> None:
    """After a back-off that grows with each probe in vain; an acceptance releases it at once."""
    one = inlet()
    one.place_hold("why", "detail", sent=1, now=10.0)

    assert one.hold is not None
    assert (one.hold.reason, one.hold.detail, one.hold.since, one.hold.probes) == ("why", "detail", 10.0, 1)
    assert 10.0 < one.ready_at(10.0) <= 10.4
    one.request_sent(1, 11.0)
    assert one.ready_at(11.0) == math.inf
    one.response_received()
    one.note_acceptance(1, 10, 2, 11.0)
    assert one.hold is None
    assert one.ready_at(11.0) == 11.0


def test_requests_that_were_under_way_count_once() -> None:
    """Eight answers of one outage are one probe."""
    one = inlet()
    sent = [one.request_sent(1, 0.0) for _ in range(8)]
    for each in sent:
        one.response_received()
        one.place_hold("why", "", each, 1.0)

    assert one.hold is not None
    assert one.hold.probes == 1
    one.place_hold("why", "", one.request_sent(1, 2.0), 3.0)
    assert one.hold.probes == 2


def test_what_probes_after_429s_is_halved_each_time() -> None:
    """A 429 halves a probe whatever it was a part of, down to about ten messages; a batch of less than twice
    as many is sent as it is. An acceptance ends it.
    """
    one, probes = inlet(), [400]
    one.note_throttled(400, one.request_sent(400, 0.0), 0.0)
    assert one.messages_to_send(400) == 400
    for at in range(10):
        sent = one.request_sent(probes[-1], at)
        one.place_hold("status 429", "", sent, at)
        one.note_throttled(probes[-1], sent, at)
        probes.append(one.messages_to_send(1000))
        assert one.messages_to_send(19) == 19

    assert probes == [400, 200, 100, 50, 25, 12, 10, 10, 10, 10, 10]
    one.note_acceptance(10, 1, one.request_sent(10, 10.0), 10.0)
    one.place_hold("status 503", "", one.request_sent(1, 20.0), 20.0)
    assert one.messages_to_send(1000) == 1000


def test_429s_that_were_under_way_halve_once() -> None:
    """Eight requests of a hundred messages that fail in one outage are no reason to send one message at a
    time; other failures than 429 halve nothing.
    """
    one = inlet()
    for _ in range(100):
        one.place_hold("status 503", "", one.request_sent(1, 0.0), 0.0)
    for sent in [one.request_sent(100, 1.0) for _ in range(8)]:
        one.place_hold("status 429", "", sent, 2.0)
        one.note_throttled(100, sent, 2.0)

    assert one.messages_to_send(1000) == 50


def test_failures_in_a_row_hold_and_an_acceptance_counts_from_nothing() -> None:
    """So that an outage is met by one request at a time."""
    one = inlet()
    for _ in range(FAILURES_BEFORE_HOLD - 1):
        one.note_failure("status 503", "", one.request_sent(1, 0.0), 0.0, 1)
    one.note_acceptance(1, 10, 1, 0.0)
    one.note_failure("status 503", "", one.request_sent(1, 0.0), 0.0, 1)
    assert one.hold is None
    for _ in range(FAILURES_BEFORE_HOLD):
        one.note_failure("status 503", "", one.request_sent(1, 0.0), 0.0, 1)
    assert one.hold is not None


def test_an_acceptance_does_not_end_what_retry_after_asked_for() -> None:
    """Only a hold's own wait ends early."""
    one = inlet()
    one.wait_as_asked(60.0, "Retry-After")
    one.note_acceptance(1, 10, 1, 5.0)

    assert one.ready_at(5.0) == 60.0


@given(st.integers(0, 10_000), st.one_of(st.none(), st.floats(0.1, 100)))
def test_the_backoff_is_jittered_and_capped(attempt: int, cap: float | None) -> None:
    """Between a hundredth of a second and the cap, at any attempt."""
    assert 0.01 <= inlet(seed=attempt).backoff(attempt, cap) <= max(0.01, cap or 60.0)


# -- Retry-After ----------------------------------------------------------------------

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", None, 7.0),
        (" 0 ", None, None),
        ("301", None, 300.0),
        ("9" * 5000, None, 300.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", DATE, 30.0),
        ("Wed, 21 Oct 2015 09:28:30 +0200", DATE, 30.0),
        ("Wed, 21 Oct 2015 08:28:30 GMT", DATE, 300.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", DATE, None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", None, None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", "yesterday", None),
        ("Wed, 21 Oct 2015 07:28:30 -0000", DATE, None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", DATE, None),
        ("soon", DATE, None),
        ("-5", DATE, None),
        ("1.5", DATE, None),
        ("٣", DATE, None),
        ("", DATE, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value: str, date: str | None, seconds: float | None) -> None:
    """A date is measured against the response's own date; both forms are capped; a value that can't be read,
    or asks for no wait, is ignored.
    """
    found = inlet(retry_after_max_s=300.0).retry_after(
        {"retry-after": value} | ({"date": date} if date else {})
    )

    assert found is None if seconds is None else seconds <= (found or 0) <= seconds + 1


@pytest.mark.parametrize(
    ("value", "seconds", "jitter"), [("1", 1.0, 0.1), ("7", 7.0, 0.7), ("60", 60.0, 1.0), ("301", 300.0, 1.0)]
)
def test_retry_after_has_a_jitter(value: str, seconds: float, jitter: float) -> None:
    """The jitter only adds: a tenth of the wait, at most a second. Replicas that got the same Retry-After do
    not all come back in the same moment.
    """
    found = [
        inlet(seed=seed, retry_after_max_s=300.0).retry_after({"retry-after": value}) or 0.0
        for seed in range(100)
    ]

    assert seconds <= min(found) < seconds + jitter / 10
    assert seconds + jitter * 0.9 < max(found) <= seconds + jitter


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_retry_after_raises(value: str, date: str) -> None:
    """Whatever a proxy writes."""
    found = inlet().retry_after({"retry-after": value, "date": date})

    assert found is None or 0 < found <= 301


# -- 413 ------------------------------------------------------------------------------


def test_413_halves_the_byte_limit() -> None:
    """For the life of the process, and never up again."""
    one = inlet()
    one.note_too_large(900_000)
    assert one.max_bytes == 450_000
    one.note_too_large(900_000)
    assert one.max_bytes == 450_000
    one.note_too_large(450_000)
    assert one.max_bytes == 225_000


def test_413_never_learns_less_than_what_was_accepted() -> None:
    """600 KB passed: 900 KB refused means 600 KB, not 450."""
    one = inlet()
    one.note_acceptance(1, 600_000, 1, 0.0)
    one.note_too_large(900_000)

    assert one.max_bytes == 600_000


def test_the_byte_limit_has_a_floor() -> None:
    """A small request that is refused says something of its records."""
    one = inlet()
    for _ in range(50):
        one.note_too_large(one.max_bytes)

    assert one.max_bytes == MIN_LEARNED_BYTES
    assert inlet().max_bytes == MAX_REQUEST_BYTES
    assert inlet(max_bytes=500_000).max_bytes == 500_000


# -- turns and floods -------------------------------------------------------------------


def test_one_batch_bisects_at_a_time() -> None:
    """The others wait for it."""
    one, first, second = inlet(), object(), object()

    assert one.take_turn(first)
    assert one.take_turn(first)
    assert not one.take_turn(second)
    one.give_turn(second)
    assert not one.take_turn(second)
    one.give_turn(first)
    assert one.take_turn(second)


def test_the_flood_guard_counts_refusals_in_a_row() -> None:
    """For each dataset alone; an acceptance counts from nothing."""
    one = inlet(flood_guard=10)

    assert one.guard_refusals("a", 9, 0.0).allowed
    assert one.guard_refusals("b", 9, 0.0).allowed
    assert not one.guard_refusals("a", 1, 5.0).allowed
    assert not one.guard_refusals("a", 1, 6.0).allowed
    assert one.stopped == {"a": 5.0}
    one.reset_refusals("a")
    assert one.stopped == {}
    assert one.guard_refusals("a", 9, 7.0).allowed


def test_a_flood_in_one_stroke_dries_too() -> None:
    """A thousand records refused at once are stopped before any was counted; an acceptance must still end the
    alarm.
    """
    one = inlet(flood_guard=10)
    one.guard_refusals("a", 10, 0.0)
    one.reset_refusals("a")

    assert one.stopped == {}


def test_an_acceptance_since_breaks_the_row_of_those_that_were_stopped() -> None:
    """However many they are: a batch as large as the guard's number would wait for ever otherwise."""
    one = inlet(flood_guard=10)
    stopped = one.resets.get("a", 0)

    assert not one.guard_refusals("a", 10, 0.0).allowed
    assert not one.guard_refusals("a", 10, 1.0, stopped).allowed
    one.reset_refusals("a")
    assert not one.guard_refusals("a", 10, 2.0).allowed, "others have not waited"
    assert one.guard_refusals("a", 10, 3.0, stopped).allowed


def test_the_flood_guard_can_be_switched_off() -> None:
    """With 0."""
    assert inlet(flood_guard=0).guard_refusals("a", 1_000_000, 0.0).allowed
