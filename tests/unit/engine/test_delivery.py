"""One batch's life: every row of the README's table "When is it the record's fault?", played against a scripted AEP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec.request import body_size
from bridge.engine.delivery import SECOND_LOOK_S, SUSPECT_ATTEMPTS, SUSPECT_S, deliver
from bridge.engine.effects import EffectResult, InletChanged, PublishDeadLetters, Settled, Wait
from bridge.engine.offsets import LaneState
from bridge.model import BatchRequest, BatchResponse, DeadLetter, Fault, PublishResult, Reason, Refusal
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, inlet, lane, pieces, refused_batch
from tests.support.scripted_aep import (
    Aep,
    all_accepted,
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    no_response,
    request_refused,
    scripted_aep,
    strict_aep,
)


def play(aep: Aep, *batches: list[bytes], until: float = 1e6, **policy: Any) -> Driver:
    driver = Driver(aep, inlet(**policy))
    for number, content in enumerate(batches):
        driver.start(batch(content, name=f"b-{number}"))
    return driver.run(until)


def stream(driver: Driver, until: float, every: float = 5.0, number: int = 1) -> None:
    """Other batches of the same inlet, sent now and again."""
    for at in range(int(until / every)):
        content = pieces(number, name=f"other-{at}-")
        driver.at(at * every, lambda content=content, at=at: driver.start(batch(content, name=f"other-{at}")))


# -- what is accepted ---------------------------------------------------------------------


def test_what_is_accepted_is_settled_with_one_request() -> None:
    """All lanes at once."""
    one, two = lane("t", 0), lane("u", 3)
    driver = Driver(healthy_aep)
    driver.start(batch(pieces(5), [one, two]))
    driver.run()

    assert driver.sizes == [5]
    assert [settled for _, settled in driver.settled] == [Settled({"t": 3, "u": 2}, (), [one, two])]
    assert driver.open == []


def test_a_200_with_a_multi_status_body_is_judged_by_its_body() -> None:
    """Adobe's mocks answer so."""
    driver = play(
        scripted_aep(multi_status(entry_accepted(0), entry_refused(), status=200)), pieces(2, bad=[1])
    )

    assert driver.accepted == 1
    assert pieces(2, bad=[1])[1:] == driver.dead_lettered


# -- a status for one message -----------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_permanent_status_of_one_message_convicts_it(status: int) -> None:
    """It alone, at once, with AEP's words."""
    driver = play(
        scripted_aep(
            multi_status(entry_accepted(0), entry_refused(status, "wrong format"), entry_accepted(2))
        ),
        pieces(3),
    )

    assert driver.sizes == [3]
    assert driver.accepted == 2
    [dead_letter] = driver.dead_letters
    assert pieces(3)[1] == dead_letter.record.value()
    assert Refusal(Reason.REFUSED, "wrong format", status, 1) == dead_letter.refusal
    assert ("t.dlq", "b-0", "inlet-id", "ds") == (
        dead_letter.topic,
        dead_letter.batch_id,
        dead_letter.inlet_id,
        dead_letter.dataset_id,
    )


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 502, 503, 504])
def test_a_passing_status_of_one_message_sends_that_message_again_and_only_it(status: int) -> None:
    """The others are settled meanwhile."""
    content = pieces(3)
    driver = play(
        scripted_aep(
            multi_status(entry_accepted(0), entry_refused(status), entry_accepted(2)),
            multi_status(entry_refused(status)),
        ),
        content,
    )

    assert driver.sizes == [3, 1, 1]
    assert (content[1],) == driver.log[1].pieces == driver.log[2].pieces
    assert driver.settled[0][1].accepted == {"t": 2}
    assert (3, []) == (driver.accepted, driver.dead_letters)


def test_a_429_of_one_message_lowers_the_limits() -> None:
    """It is the inlet's news, too."""
    driver = play(
        scripted_aep(multi_status(entry_accepted(0), entry_refused(429))),
        pieces(2),
        until=0.05,
        max_in_flight=8,
    )

    assert driver.inlet.concurrency.allowed == 4


def test_a_lane_with_nothing_left_is_released_before_the_others() -> None:
    """One stuck message does not hold the commits of other partitions."""
    one, two = lane("t", 0), lane("t", 1)
    driver = Driver(scripted_aep(multi_status(entry_accepted(0), entry_refused(503))))
    driver.start(batch(pieces(2), [one, two]))
    driver.run()

    assert [list(settled.lanes) for _, settled in driver.settled] == [[one], [two]]


# -- the whole request is refused -----------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("bad", range(8))
def test_halving_finds_the_one_record(status: int, bad: int) -> None:
    """Only it is dead-lettered, after a second look while others passed; in at most 2n requests."""
    content = pieces(8, bad=[bad])
    driver = play(strict_aep(status), content)

    assert driver.dead_lettered == [content[bad]]
    assert driver.accepted == 7
    assert driver.open == []
    alone = [request.at for request in driver.log if request.pieces == (content[bad],)]
    assert len(alone) >= 2
    assert alone[-1] - alone[0] >= SECOND_LOOK_S
    assert len(driver.log) <= 16
    assert status == driver.dead_letters[0].refusal.status
    assert driver.inlet.bisecting is None
    assert driver.inlet.hold is None


def test_several_bad_records_are_all_found() -> None:
    """And nothing else."""
    bad = [0, 3, 4, 15]
    content = pieces(16, bad=bad)
    driver = play(strict_aep(), content)

    assert {content[at] for at in bad} == set(driver.dead_lettered)
    assert driver.accepted == 12


def test_a_lone_record_is_not_convicted_before_another_one_is_accepted() -> None:
    """Nobody can tell its fault from the inlet's; with the first acceptance of another batch one can."""
    driver = Driver(strict_aep())
    driver.start(batch(pieces(1, bad=[0]), name="lone"))
    driver.run(until=3600.0)
    assert driver.dead_letters == []
    assert len(driver.log) < 200, "probes with back-off"
    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "refuses everything"

    driver.start(batch(pieces(1), name="other"))
    driver.run()
    assert len(driver.dead_letters) == 1
    assert driver.accepted == 1


def test_an_acceptance_that_was_under_way_proves_nothing() -> None:
    """The other request went out before the first refusal: it says nothing about the time since."""
    driver = Driver(
        lambda request, now: all_accepted(1) if b"other" in request.pieces[0] else request_refused(400)
    )
    driver.start(batch(pieces(1, name="other-")))
    driver.start(batch(pieces(1, bad=[0])))
    driver.run(until=60.0)

    assert driver.accepted == 1
    assert driver.dead_letters == []


def test_an_acceptance_before_others_were_refused_too_is_not_enough() -> None:
    """When the inlet began to refuse others after this record stood alone, it takes an acceptance since then."""
    content = pieces(2, bad=[1])
    driver = Driver(strict_aep())
    driver.start(batch(content))
    driver.at(0.5, lambda: driver.inlet.note_refusal(second_look=True))
    driver.run(until=60.0)
    assert driver.accepted == 1
    assert driver.dead_letters == []

    driver.start(batch(pieces(1), name="other"))
    driver.run()
    assert driver.dead_lettered == [content[1]]


def test_where_every_half_fails_the_inlet_is_at_fault() -> None:
    """It holds, loudly, and probes; when it is well again everything is accepted."""
    driver = Driver(lambda request, now: request_refused(400) if now < 3600 else healthy_aep(request))
    for number in range(20):
        driver.start(batch(pieces(50, name=f"{number}-"), name=f"b-{number}"))
    driver.run(until=3599.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "refuses everything"
    assert len(driver.log) < 300
    driver.run()
    assert (1000, []) == (driver.accepted, driver.dead_letters)
    assert driver.inlet.hold is None


def test_one_bisection_at_a_time() -> None:
    """A full one costs 2n-1 requests; the others of the inlet wait for their turn, and take it."""
    driver = Driver(strict_aep(), inlet(max_in_flight=8))
    contents = [pieces(8, bad=[number], name=f"{number}-") for number in range(4)]
    for number, content in enumerate(contents):
        driver.start(batch(content, name=f"b-{number}"))
    driver.run()
    small = [request.batch for request in driver.log if len(request.pieces) < 8]
    turns = [name for at, name in enumerate(small) if at == 0 or small[at - 1] != name]

    assert {content[number] for number, content in enumerate(contents)} == set(driver.dead_lettered)
    assert driver.accepted == 28
    assert "another batch is being bisected" in driver.reasons()
    assert len(turns) <= 12


def test_413_is_learned() -> None:
    """The next batches fit, for as long as the process lives; nobody is dead-lettered for a proxy's limit."""
    driver = Driver(
        lambda request, _: (
            request_refused(413)
            if sum(map(len, request.pieces)) > 300_000
            else all_accepted(len(request.pieces))
        )
    )
    driver.start(batch([b'{"x":"%b"}' % (b"x" * 990)] * 900))
    driver.run()

    assert (900, []) == (driver.accepted, driver.dead_letters)
    assert 200_000 < driver.inlet.max_bytes <= 300_000


def test_a_single_record_that_is_too_large_for_aep_is_convicted_and_teaches_nothing() -> None:
    """Its size is not the limit of a batch."""
    big = b'{"x":"%b"}' % (b"x" * 50_000)
    driver = play(
        lambda request, _: (
            request_refused(413) if big in request.pieces else all_accepted(len(request.pieces))
        ),
        [big, *pieces(1)],
    )

    assert driver.dead_lettered == [big]
    assert driver.accepted == 1


# -- 500 ------------------------------------------------------------------------------------------


def test_a_500_waits_like_a_503() -> None:
    """No halving, no conviction, while nobody passes."""
    driver = Driver(lambda request, now: request_refused(500) if now < 3600 else healthy_aep(request))
    driver.start(batch(pieces(10)))
    driver.run()

    assert {10} == set(driver.sizes)
    assert (10, []) == (driver.accepted, driver.dead_letters)


def test_a_record_that_is_answered_500_while_others_pass_is_convicted_after_a_long_series() -> None:
    """At least 8 attempts over at least 5 minutes, another record accepted between every two."""
    content = pieces(4, bad=[2])
    driver = Driver(strict_aep(500))
    driver.start(batch(content, name="poison"))
    stream(driver, 3000.0)
    driver.run()

    assert driver.dead_lettered == [content[2]]
    alone = [request for request in driver.log if request.pieces == (content[2],)]
    good = [request.at for request in driver.log if request.response.status == 207]
    counted = [
        request.at for before, request in pairwise(alone) if any(before.at < at < request.at for at in good)
    ]
    assert len(alone) >= SUSPECT_ATTEMPTS
    assert len(counted) >= SUSPECT_ATTEMPTS - 1
    assert alone[-1].at - alone[0].at >= SUSPECT_S
    assert driver.accepted == 603


def test_a_500_for_one_message_needs_the_same_series() -> None:
    """In a 207 it is no more certain."""
    content = pieces(3, bad=[1])
    driver = Driver(
        lambda request, _: multi_status(
            *(
                entry_refused(500) if b"bad" in piece else entry_accepted(at)
                for at, piece in enumerate(request.pieces)
            )
        )
    )
    driver.start(batch(content))
    stream(driver, 3000.0)
    driver.run()

    assert driver.dead_lettered == [content[1]]
    alone = [request for request in driver.log if request.pieces == (content[1],)]
    assert len(alone) >= SUSPECT_ATTEMPTS - 1
    assert alone[-1].at >= SUSPECT_S


def test_without_acceptances_between_a_500_convicts_nobody() -> None:
    """One acceptance at the beginning is not one between every two."""
    driver = Driver(strict_aep(500))
    driver.start(batch(pieces(1, bad=[0])))
    driver.start(batch(pieces(1), name="other"))
    driver.run(until=7200.0)

    assert (1, []) == (driver.accepted, driver.dead_letters)
    assert len(driver.log) > SUSPECT_ATTEMPTS


# -- nobody's fault ----------------------------------------------------------------------------------

OUTAGES = [request_refused(status) for status in (408, 425, 429, 501, 502, 503, 504, 520)] + [
    no_response(Fault.CONNECTION),
    no_response(Fault.CREDENTIALS),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda response: str(response.status or response.fault))
def test_an_outage_is_retried_without_limit(outage: BatchResponse) -> None:
    """Two hours of it: the same request, with growing waits, and in the end it is accepted."""
    driver = Driver(lambda request, now: outage if now < 7200 else healthy_aep(request))
    driver.start(batch(pieces(3)))
    driver.run()

    assert {3} == set(driver.sizes)
    assert (3, []) == (driver.accepted, driver.dead_letters)
    assert 20 < len(driver.log) < 1000
    assert driver.now < 7200 + 180


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry_after": "86400"}, 300.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_up_to_its_cap(headers: dict[str, str], seconds: float, status: int) -> None:
    """By the other batches of the inlet as well."""
    driver = Driver(scripted_aep(request_refused(status, **headers)), inlet(retry_after_max_s=300.0))
    driver.start(batch(pieces(2), name="first"))
    driver.at(1.0, lambda: driver.start(batch(pieces(2), name="second")))
    driver.run()

    assert 0.05 + seconds <= driver.log[1].at <= 0.05 + seconds + min(1.0, seconds / 10)
    assert driver.log[2].at >= 0.05 + seconds
    assert (4, []) == (driver.accepted, driver.dead_letters)


def test_retry_after_of_a_multi_status_answer_is_honoured() -> None:
    """For the messages that it concerns."""
    driver = play(
        scripted_aep(multi_status(entry_accepted(0), entry_refused(503), headers={"retry-after": "9"})),
        pieces(2),
    )

    assert 9.05 <= driver.log[1].at <= 9.95


@pytest.mark.parametrize(
    "response",
    [
        request_refused(429, retry_after="0"),
        request_refused(503, retry_after="0"),
        multi_status(entry_refused(503), headers={"retry-after": "0"}),
    ],
)
def test_retry_after_0_is_no_reason_to_hurry(response: BatchResponse) -> None:
    """Back-off goes on as without it: ten minutes of such answers cost a few dozen requests."""
    driver = Driver(lambda request, now: response if now < 600 else healthy_aep(request))
    driver.start(batch(pieces(1)))
    driver.run()

    assert driver.accepted == 1
    assert 10 < len(driver.log) < 100


def test_waits_end_early_when_the_inlet_accepts_again() -> None:
    """A minute's back-off need not be waited out after the outage."""
    driver = Driver(lambda request, now: request_refused(503) if now < 600 else healthy_aep(request))
    for number in range(30):
        driver.start(batch(pieces(1), name=f"b-{number}"))
    driver.run()

    assert driver.accepted == 30
    assert driver.now < 600 + 62


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_too_large_for_the_rate_goes_in_parts(ordered: bool) -> None:
    """A batch that was made before the rate sank: in the order of its records, all of them once."""
    one = inlet(ordered=ordered)
    one.rate.configured = 100.0
    driver = Driver(healthy_aep, one)
    driver.start(batch(pieces(105, bad=[50])))
    driver.run()

    assert driver.sizes == [21] * 5
    assert pieces(105, bad=[50]) == [piece for request in driver.log for piece in request.pieces]
    assert (104, 1) == (driver.accepted, len(driver.dead_letters))


def test_what_is_not_twice_as_large_goes_as_it_is() -> None:
    """A rate moves a little all the time."""
    one = inlet()
    one.rate.configured = 100.0
    driver = Driver(healthy_aep, one)
    driver.start(batch(pieces(39)))
    driver.run()

    assert driver.sizes == [39]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_batch_that_never_fits_into_the_bucket_gets_smaller(ordered: bool) -> None:
    """While the inlet only probes, each 429 halves the next probe, down to some ten messages; nothing is lost, and nothing overtakes where order is kept."""
    driver = Driver(
        lambda request, _: healthy_aep(request) if len(request.pieces) <= 60 else request_refused(429),
        inlet(ordered=ordered),
    )
    driver.start(batch(pieces(400)))
    driver.run()
    sent = [piece for request in driver.log if len(request.pieces) <= 60 for piece in request.pieces]

    assert sorted(sent) == sorted(pieces(400))
    assert sent == pieces(400) or not ordered
    assert (400, []) == (driver.accepted, driver.dead_letters)
    assert len(driver.log) < 40


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "refusal",
    [
        lambda _: request_refused(429),
        lambda request: multi_status(*(entry_refused(429) for _ in request.pieces)),
    ],
    ids=["whole", "each"],
)
def test_a_door_that_was_shut_for_an_hour_leaves_whole_batches(
    refusal: Callable[[BatchRequest], BatchResponse], ordered: bool
) -> None:
    """What probed in vain goes back to where it was cut off: ten messages find the door open, and the rest follows as one. Nothing overtakes where order is kept."""
    driver = Driver(
        lambda request, now: healthy_aep(request) if now > 3600 else refusal(request), inlet(ordered=ordered)
    )
    for name in "ab":
        driver.start(batch(pieces(80, name=name)))
    driver.run()
    after = [len(request.pieces) for request in driver.log if request.at > 3600]
    sent = [piece for request in driver.log if request.at > 3600 for piece in request.pieces]

    assert sorted(after) == [10, 70, 80]
    assert sorted(sent) == sorted([*pieces(80, name="a"), *pieces(80, name="b")])
    assert not ordered or all(
        [*filter(set(pieces(80, name=name)).__contains__, sent)] == pieces(80, name=name) for name in "ab"
    )


def test_a_shut_door_makes_nothing_tiny() -> None:
    """An hour of 429 leaves requests of ten messages or more; other outages leave them as they are."""
    for status, least in ((429, 10), (503, 80)):
        driver = play(
            lambda request, now, status=status: (
                healthy_aep(request) if now > 3600 else request_refused(status)
            ),
            pieces(80),
        )

        assert least == min(driver.sizes)
        assert driver.accepted == 80


def test_two_timeouts_halve_and_double() -> None:
    """A line too slow for a megabyte gets less at a time, and longer: up to 300 s."""
    driver = Driver(
        lambda request, _: no_response(Fault.TIMEOUT) if len(request.pieces) > 1 else healthy_aep(request),
        inlet(request_timeout_s=30.0),
    )
    driver.start(batch(pieces(16)))
    driver.run()
    by_size = {len(request.pieces): request.timeout_s for request in driver.log}

    assert by_size == {16: 30.0, 8: 60.0, 4: 120.0, 2: 240.0, 1: 300.0}
    assert {16: 2, 8: 4, 4: 8, 2: 16, 1: 16} == Counter(driver.sizes)
    assert driver.accepted == 16


def test_timeouts_of_a_lone_record_go_on() -> None:
    """Nothing to halve: longer time-outs, no conviction."""
    driver = play(lambda request, now: no_response(Fault.TIMEOUT), pieces(1), until=7200.0)

    assert driver.log[-1].timeout_s == 300.0
    assert driver.dead_letters == []


# -- credentials and addresses ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_good_token_that_is_refused_now_is_refreshed_at_once(status: int) -> None:
    """The request goes out again without a wait, and without a hold."""
    driver = play(scripted_aep(BatchResponse(status, token_was_good=True)), pieces(2))

    assert [request.at for request in driver.log] == [0.0, 0.05]
    assert driver.accepted == 2
    assert driver.waits == []


@pytest.mark.parametrize(
    "refusal",
    [request_refused(401), BatchResponse(403), no_response(Fault.CREDENTIALS)],
    ids=["401", "403", "no token"],
)
def test_fresh_credentials_that_are_refused_hold_the_inlet(refusal: BatchResponse) -> None:
    """It probes at least once a minute, with one request, and nothing is dead-lettered."""
    driver = Driver(lambda request, now: refusal if now < 3600 else healthy_aep(request))
    for number in range(5):
        driver.start(batch(pieces(2), name=f"b-{number}"))
    driver.run(until=3590.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "credentials"
    late = [request.at for request in driver.log if request.at > 300]
    assert all(0 < after - before <= 60.1 for before, after in pairwise(late))
    assert {2} == set(driver.sizes)
    driver.run()
    assert (10, []) == (driver.accepted, driver.dead_letters)


@pytest.mark.parametrize("status", [301, 302, 307, 402, 404, 405, 407, 409, 410, 415, 451])
def test_an_address_that_is_wrong_holds_the_inlet(status: int) -> None:
    """Never halved, never dead-lettered; it recovers when somebody corrects it."""
    driver = Driver(lambda request, now: request_refused(status) if now < 3600 else healthy_aep(request))
    for number in range(5):
        driver.start(batch(pieces(4), name=f"b-{number}"))
    driver.run(until=3500.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "address"
    assert str(status) in driver.inlet.hold.detail
    assert {4} == set(driver.sizes)
    assert len(driver.log) < 300
    driver.run()
    assert (20, []) == (driver.accepted, driver.dead_letters)


# -- answers that say nothing ----------------------------------------------------------------------------

UNREADABLE = [
    BatchResponse(200, {}, b"OK"),
    BatchResponse(207, {}, b""),
    BatchResponse(204),
    multi_status(entry_accepted(1), entry_accepted(1), entry_accepted(1)),
    BatchResponse(100),
    BatchResponse(0),
    no_response(Fault.OVERSIZE),
]


@pytest.mark.parametrize("response", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_answer_means_the_batch_once_more(response: BatchResponse) -> None:
    """Together, after a back-off."""
    driver = play(scripted_aep(response), pieces(3))

    assert driver.sizes == [3, 3]
    assert (3, []) == (driver.accepted, driver.dead_letters)


def test_after_two_unreadable_answers_each_record_goes_alone() -> None:
    """Where counts differ, a request of one message can't be misread."""
    driver = play(
        scripted_aep(
            multi_status(entry_refused(), entry_accepted(1)), multi_status(entry_refused(), entry_refused())
        ),
        pieces(3),
    )

    assert driver.sizes == [3, 3, 1, 1, 1]
    assert (3, []) == (driver.accepted, driver.dead_letters)


def test_only_what_is_unknown_goes_again() -> None:
    """The others of the answer are settled."""
    content = pieces(3)
    driver = play(scripted_aep(multi_status(entry_accepted(0), {}, entry_refused())), content)

    assert driver.sizes == [3, 1]
    assert driver.log[1].pieces == (content[1],)
    assert driver.accepted == 2
    assert driver.dead_lettered == [content[2]]


def test_where_every_answer_is_unreadable_the_inlet_holds() -> None:
    """It probes about once a minute, so that the repeats are few."""
    driver = Driver(
        lambda request, now: (
            BatchResponse(200, {}, b"<html>welcome</html>") if now < 7200 else healthy_aep(request)
        )
    )
    for number in range(5):
        driver.start(batch(pieces(4), name=f"b-{number}"))
    driver.run(until=7100.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "unreadable answers"
    assert len(driver.log) < 400
    driver.run()
    assert (20, []) == (driver.accepted, driver.dead_letters)


# -- order ------------------------------------------------------------------------------------------------


def test_with_order_everything_from_the_first_retryable_message_on_is_sent_again() -> None:
    """Not what came before it: that is settled."""
    content = pieces(5, bad=[0, 3])
    responses = multi_status(
        entry_refused(), entry_accepted(1), entry_refused(503), entry_refused(), entry_accepted(4)
    )
    driver = play(scripted_aep(responses), content, ordered=True)

    assert [request.pieces for request in driver.log] == [tuple(content), tuple(content[2:])]
    assert driver.dead_lettered == [content[0], content[3]]
    assert driver.accepted == 3


def test_with_order_halves_go_in_order() -> None:
    """A record never arrives before one that stood before it."""
    content = pieces(8, bad=[5])
    driver = play(strict_aep(), content, ordered=True)
    arrived = [piece for request in driver.log if request.response.status == 207 for piece in request.pieces]

    assert [piece for piece in content if b"good" in piece] == arrived
    assert driver.dead_lettered == [content[5]]


def test_with_order_a_half_that_must_wait_is_not_overtaken() -> None:
    """Two time-outs halve the batch; the first half meets a 503, and the second one waits for it."""
    content = pieces(8)
    driver = play(scripted_aep(no_response(), no_response(), request_refused(503)), content, ordered=True)

    assert [request.pieces for request in driver.log[2:]] == [
        tuple(content[:4]),
        tuple(content[:4]),
        tuple(content[4:]),
    ]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["ok", "503", "unknown", "whole", "timeout"]), max_size=12),
    st.sets(st.integers(0, 7), max_size=3),
)
def test_with_order_nothing_overtakes(faults: list[str], bad: set[int]) -> None:
    """Through any faults, the last arrival of each record comes in the order of the records."""
    content = pieces(8, bad=bad)
    left = list(faults)
    arrived: list[bytes] = []

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        entries = [
            entry_refused() if b"bad" in piece else entry_accepted(at)
            for at, piece in enumerate(request.pieces)
        ]
        fault = left.pop(0) if left else "ok"
        if fault == "timeout":
            return no_response()
        if fault == "whole":
            return request_refused(503)
        middle = len(entries) // 2
        if fault != "ok":
            entries[middle] = entry_refused(503) if fault == "503" else {}
        arrived.extend(
            piece
            for at, piece in enumerate(request.pieces)
            if b"good" in piece and (fault == "ok" or at != middle)
        )
        return multi_status(*entries)

    driver = play(aep, content, ordered=True)
    last = [piece for at, piece in enumerate(arrived) if piece not in arrived[at + 1 :]]

    assert [piece for piece in content if b"good" in piece] == last
    assert {content[at] for at in bad} == set(driver.dead_lettered)


# -- lanes that end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [LaneState.CLOSING, LaneState.DEAD])
def test_from_the_next_attempt_on_the_records_of_ended_lanes_are_left_out(state: LaneState) -> None:
    """A batch that still has a living lane is never given up."""
    one, two = lane("t", 0), lane("t", 1)
    content = pieces(4)
    driver = Driver(scripted_aep(request_refused(503), request_refused(503)))
    started = driver.start(batch(content, [one, two]))
    driver.run(requests=2)
    two.state = state
    driver.look_again(started)
    driver.run()

    assert driver.log[-1].pieces == (content[0], content[2])
    assert driver.accepted == 2
    assert [list(settled.lanes) for _, settled in driver.settled] == [[one]]
    assert started.done


@pytest.mark.parametrize("state", [LaneState.CLOSING, LaneState.DEAD])
def test_a_batch_whose_lanes_have_all_ended_is_over(state: LaneState) -> None:
    """Without a request: their next owner sends them."""
    home = lane()
    driver = Driver(healthy_aep)
    home.state = state
    driver.start(batch(pieces(4), [home]))

    assert driver.open == []
    assert driver.log == []


def test_a_request_that_was_under_way_at_a_revoke_still_settles() -> None:
    """While the lane is closing its dead letters are published, too."""
    home = lane()
    driver = Driver(healthy_aep)
    driver.start(batch(pieces(3, bad=[1]), [home]))
    driver.at(0.01, lambda: setattr(home, "state", LaneState.CLOSING))
    driver.run()

    assert driver.accepted == 2
    assert len(driver.dead_letters) == 1
    assert list(driver.settled[-1][1].lanes) == [home]


def test_a_post_whose_turn_never_came_is_looked_at_again() -> None:
    """Lanes that end while it queues leave it."""
    one, two = lane("t", 0), lane("t", 1)
    delivery = deliver(batch(pieces(2), [one, two]), inlet(), ["d"] * 2, 0.0)

    assert BatchRequest("inlet", pieces(2), 30.0, body_size(pieces(2))) == next(delivery)
    one.state = LaneState.CLOSING
    assert BatchRequest("inlet", pieces(2)[1:], 30.0, body_size(pieces(2)[1:])) == delivery.send(
        EffectResult(1.0)
    )
    two.state = LaneState.DEAD
    with pytest.raises(StopIteration):
        delivery.send(EffectResult(2.0))


# -- dead letters -----------------------------------------------------------------------------------------------


def test_dead_letters_are_published_until_every_one_is_acknowledged() -> None:
    """Only those that failed go again; the lane is released with the last, and AEP is not asked again."""
    content = pieces(4, bad=[0, 1, 3])
    published: list[list[bytes | None]] = []

    def publish(dead_letters: Sequence[DeadLetter], now: float) -> PublishResult:
        published.append([dead_letter.record.value() for dead_letter in dead_letters])
        return PublishResult(
            [0, 2] if len(published) == 1 else [0] if len(published) < 20 else [], "no leader"
        )

    driver = Driver(healthy_aep, publish=publish)
    driver.start(batch(content))
    driver.run()

    assert [content[at] for at in (0, 1, 3)] == published[0]
    assert [content[at] for at in (0, 3)] == published[1]
    assert published[-1] == [content[0]]
    assert len(driver.log) == 1
    assert Counter(content[at] for at in (0, 1, 3)) == Counter(driver.dead_lettered)
    assert [len(settled.lanes) for _, settled in driver.settled] == [0, 0, 0, 1]
    assert driver.reasons() == {"dead-letter topic unavailable"}
    assert {wait.detail for wait in driver.waits} == {"no leader"}


def test_a_dead_letter_of_a_lane_that_died_meanwhile_is_left_to_its_next_owner() -> None:
    """A closing lane's is still published."""
    one, two, three = lane("t", 0), lane("t", 1), lane("t", 2)
    driver = Driver(
        healthy_aep,
        publish=lambda dead_letters, now: (
            PublishResult(range(len(dead_letters)), "down") if now < 30 else PublishResult()
        ),
    )
    started = driver.start(batch(pieces(3, bad=[0, 1, 2]), [one, two, three]))
    driver.run(until=20.0)
    one.state, two.state = LaneState.DEAD, LaneState.CLOSING
    driver.run()

    assert pieces(3, bad=[0, 1, 2])[1:] == driver.dead_lettered
    assert started.done


def test_records_refused_before_sending_need_no_request() -> None:
    """Their verdict is known."""
    driver = Driver(healthy_aep)
    refusal = Refusal(Reason.NOT_JSON, "no")
    driver.start(refused_batch([refusal] * 3))
    driver.run()

    assert driver.log == []
    assert [dead_letter.refusal for dead_letter in driver.dead_letters] == [refusal] * 3
    assert driver.open == []


def test_each_record_goes_to_its_own_dead_letter_topic() -> None:
    """A batch may hold several topics."""
    driver = Driver(healthy_aep)
    driver.start(batch(pieces(2, bad=[0, 1]), [lane("a"), lane("b")]))
    driver.run()

    assert [(dead_letter.record.topic(), dead_letter.topic) for dead_letter in driver.dead_letters] == [
        ("a", "a.dlq"),
        ("b", "b.dlq"),
    ]


# -- the operator ---------------------------------------------------------------------------------------------------


def test_an_operators_order_moves_a_record_that_waits() -> None:
    """Whatever AEP says; the others go on."""
    content = pieces(3)
    driver = Driver(
        lambda request, now: request_refused(503) if content[1] in request.pieces else healthy_aep(request)
    )
    started = driver.start(batch(content))
    driver.run(until=100.0)
    started.batch.order_skip(1, Refusal(Reason.SKIPPED, "skipped by ann: poison"))
    driver.look_again(started)
    driver.run()

    assert driver.dead_lettered == [content[1]]
    assert [dead_letter.refusal.reason for dead_letter in driver.dead_letters] == [Reason.SKIPPED]
    assert driver.accepted == 2


def test_an_order_for_a_record_that_was_accepted_meanwhile_does_nothing() -> None:
    """The answer was under way."""
    driver = Driver(scripted_aep(multi_status(entry_accepted(0), entry_refused(503))))
    started = driver.start(batch(pieces(2)))
    driver.at(0.01, lambda: started.batch.order_skip(0, Refusal(Reason.SKIPPED, "x")))
    driver.run()

    assert (2, []) == (driver.accepted, driver.dead_letters)


def test_an_order_moves_a_record_that_the_flood_guard_holds() -> None:
    """Also one that was never to be sent."""
    driver = Driver(healthy_aep, inlet(flood_guard=2))
    started = driver.start(refused_batch([Refusal(Reason.NOT_JSON, "no")] * 3))
    driver.run(until=10.0)
    started.batch.order_skip(1, Refusal(Reason.SKIPPED, "x"))
    driver.look_again(started)
    driver.run(until=20.0)

    assert [dead_letter.record.offset() for dead_letter in driver.dead_letters] == [1]
    assert driver.open == [started]


# -- floods ---------------------------------------------------------------------------------------------------------


def test_the_flood_guard_holds_a_dataset_that_refuses_everything() -> None:
    """One short of the guard's number is dead-lettered; the rest waits, and is asked about again and again."""
    driver = Driver(healthy_aep, inlet(flood_guard=20))
    for number in range(5):
        driver.start(batch(pieces(6, bad=range(6), name=f"{number}-"), name=f"b-{number}"))
    driver.run(until=3600.0)

    assert len(driver.dead_letters) == 18
    assert {"ds"} == set(driver.inlet.stopped)
    assert "flood guard: everything is refused" in driver.reasons()
    assert len(driver.open) == 2

    driver.start(batch(pieces(1), name="good"))
    driver.run()
    assert len(driver.dead_letters) == 30
    assert driver.inlet.stopped == {}


def test_a_guarded_batch_that_was_the_set_ups_fault_is_accepted_after_all() -> None:
    """A wrong schema, corrected: nothing of it is lost in a dead-letter topic."""
    driver = Driver(
        lambda request, now: (
            multi_status(*(entry_refused() for _ in request.pieces)) if now < 3600 else healthy_aep(request)
        ),
        inlet(flood_guard=1000),
    )
    driver.start(batch(pieces(1000)))
    driver.run()

    assert (1000, []) == (driver.accepted, driver.dead_letters)


def test_the_guard_does_not_hold_a_batch_of_bad_records_among_good_batches() -> None:
    """A thousand bad ones in one request, while others of the dataset are accepted: they are no flood."""
    driver = Driver(healthy_aep, inlet(flood_guard=1000))
    driver.start(batch(pieces(1000, bad=range(1000)), name="bad"))
    stream(driver, 60.0)
    driver.run(until=120.0)

    assert len(driver.dead_letters) == 1000
    assert driver.open == []


def test_the_guard_watches_a_route_whose_values_are_never_valid() -> None:
    """Until something valid comes."""
    driver = Driver(healthy_aep, inlet(flood_guard=10))
    driver.start(refused_batch([Refusal(Reason.NOT_JSON, "no")] * 10))
    driver.run(until=600.0)
    assert driver.dead_letters == []
    assert {"t"} == set(driver.inlet.stopped)

    driver.inlet.reset_refusals("t")
    driver.run()
    assert len(driver.dead_letters) == 10


def test_refusals_among_acceptances_never_count_as_a_flood() -> None:
    """Half of each request is bad, for ever."""
    driver = play(
        healthy_aep, *[pieces(100, bad=range(50), name=f"{number}-") for number in range(50)], flood_guard=100
    )

    assert len(driver.dead_letters) == 2500
    assert driver.accepted == 2500


# -- the long run -------------------------------------------------------------------------------------------------------

HOUR = 3600.0
STORMS: dict[str, Aep] = {
    "500": lambda request, now: request_refused(500),
    "404": lambda request, now: request_refused(404),
    "400": lambda request, now: request_refused(400),
    "413": lambda request, now: request_refused(413),
    "422": lambda request, now: request_refused(422),
    "401": lambda request, now: request_refused(401),
    "503": lambda request, now: request_refused(503),
    "429": lambda request, now: request_refused(429, retry_after="2"),
    "each 500": lambda request, now: multi_status(*(entry_refused(500) for _ in request.pieces)),
    "each 503": lambda request, now: multi_status(*(entry_refused(503) for _ in request.pieces)),
    "garbage": lambda request, now: BatchResponse(200, {}, b"<html>"),
    "time-outs": lambda request, now: no_response(),
    "resets": lambda request, now: no_response(Fault.CONNECTION),
}


@pytest.mark.parametrize("storm", STORMS)
def test_an_hour_of_trouble_that_hits_everything_dead_letters_nothing_healthy(storm: str) -> None:
    """Good minutes, a bad hour, good minutes, with batches all the time: every good record is accepted, and only the bad ones are dead-lettered."""

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        return STORMS[storm](request, now) if 300 <= now < 300 + HOUR else healthy_aep(request, now)

    driver = Driver(aep, inlet(max_in_flight=8))
    total = 0
    for number in range(150):
        bad = [1] if number % 7 == 0 else []
        content = pieces(6, bad=bad, name=f"{number}-")
        total += 6 - len(bad)
        driver.at(
            number * 30.0,
            lambda content=content, number=number: driver.start(batch(content, name=f"b-{number}")),
        )
    driver.run(until=300 + 2 * HOUR)

    assert driver.open == []
    assert total == driver.accepted
    assert all(b"bad" in value for value in driver.dead_lettered)
    assert len(driver.dead_lettered) == 22
    assert driver.inlet.hold is None
    storming = [request.at for request in driver.log if 600 <= request.at < 300 + HOUR]
    assert len(storming) <= (9000 if "each" in storm else 2500), (
        "it does not hammer; messages that are refused one by one back off one by one"
    )


PASSING = ["503", "429", "reset", "garbage", "one 503", "one unknown", "short", "500"]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(PASSING), max_size=40), st.sets(st.integers(0, 39), max_size=6), st.booleans()
)
def test_through_any_passing_faults_only_the_bad_records_are_dead_lettered(
    faults: list[str], bad: set[int], ordered: bool
) -> None:
    """Each record is settled once: accepted, or dead-lettered for what it is."""
    left = list(faults)

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        entries = [
            entry_refused() if b"bad" in piece else entry_accepted(at)
            for at, piece in enumerate(request.pieces)
        ]
        match left.pop(0) if left else None:
            case "503":
                return request_refused(503)
            case "500":
                return request_refused(500)
            case "429":
                return request_refused(429, retry_after="1")
            case "reset":
                return no_response(Fault.CONNECTION)
            case "garbage":
                return BatchResponse(207, {}, b"{}")
            case "one 503":
                entries[-1] = entry_refused(503)
            case "one unknown":
                entries[0] = {}
            case "short":
                entries = [entry_refused(), *entries][:-2]
        return multi_status(*entries)

    content = pieces(40, bad=bad)
    driver = play(aep, *(content[at : at + 8] for at in range(0, 40, 8)), ordered=ordered)

    assert driver.open == []
    assert {content[at] for at in bad} == set(driver.dead_lettered)
    assert len(bad) == len(driver.dead_letters)
    assert 40 - len(bad) == driver.accepted


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 31), max_size=8),
    st.sampled_from([400, 413, 422]),
    st.booleans(),
    st.integers(0, 100),
)
def test_an_aep_that_refuses_whole_requests_convicts_just_the_bad_records(
    bad: set[int], status: int, ordered: bool, seed: int
) -> None:
    """Whatever they are, with other batches of the inlet passing meanwhile."""
    content = pieces(32, bad=bad)
    driver = Driver(strict_aep(status), inlet(seed=seed, ordered=ordered, max_in_flight=4))
    for at in range(0, 32, 8):
        driver.start(batch(content[at : at + 8], name=f"b-{at}"))
    stream(driver, 600.0)
    driver.run(until=6000.0)

    assert driver.open == []
    assert {content[at] for at in bad} == set(driver.dead_lettered)
    assert len(bad) == len(driver.dead_letters)
    assert 32 - len(bad) + 120 == driver.accepted


def test_what_is_accepted_does_not_wait_for_its_neighbours_letters() -> None:
    """Another partition's record is refused, and the dead-letter topic is silent: this partition's offsets go on."""
    here, there = lane(partition=0), lane(partition=1)
    delivery = deliver(batch(pieces(2, bad=[1]), [here, there]), inlet(), ["d"] * 2, 0.0)
    next(delivery)
    effect = delivery.send(EffectResult(1.0, multi_status(entry_accepted(0), entry_refused()), 1, -1))
    assert effect == InletChanged(accepted=True, events=())
    effect = delivery.send(EffectResult(1.0))

    assert isinstance(effect, Settled)
    assert list(effect.lanes) == [here]


def test_what_a_delivery_yields_is_all_there_is() -> None:
    """Step by step: a request, what is settled, a wait, a dead letter, and the end."""
    one = inlet()
    delivery = deliver(batch(pieces(3, bad=[1])), one, ["d"] * 3, 0.0)

    assert isinstance(next(delivery), BatchRequest)
    one.request_sent(3, 0.0)
    one.response_received()
    effect = delivery.send(
        EffectResult(1.0, multi_status(entry_accepted(0), entry_refused(), entry_refused(503)), 1, -1)
    )
    assert effect == InletChanged(accepted=True, events=())
    effect = delivery.send(EffectResult(1.0))
    assert isinstance(effect, Settled)
    assert ({"t": 1}, []) == (effect.accepted, list(effect.lanes))
    effect = delivery.send(EffectResult(1.0))
    assert isinstance(effect, PublishDeadLetters)
    assert [dead_letter.record.offset() for dead_letter in effect.letters] == [1]
    effect = delivery.send(EffectResult(2.0, published=PublishResult()))
    assert isinstance(effect, Settled)
    assert ({}, []) == (effect.accepted, list(effect.lanes))
    effect = delivery.send(EffectResult(2.0))
    assert isinstance(effect, Wait | BatchRequest)
    if isinstance(effect, Wait):
        effect = delivery.send(EffectResult(effect.until, woken=True))
    assert isinstance(effect, BatchRequest)
    effect = delivery.send(EffectResult(9.0, all_accepted(1), 3, 1))
    assert effect == InletChanged(accepted=True, events=())
    effect = delivery.send(EffectResult(9.0))
    assert isinstance(effect, Settled)
    assert len(effect.lanes) == 1
    with pytest.raises(StopIteration):
        delivery.send(EffectResult(9.0))


@pytest.mark.parametrize("passing", [1, 2, 3])
def test_an_inlet_that_begins_to_refuse_everything_in_mid_bisection_convicts_nobody(passing: int) -> None:
    """A batch alone in its inlet: some of it passes, then everything is refused for a minute. All of it arrives."""
    asked = 0

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        nonlocal asked
        if now < 60:
            if len(request.pieces) > 2:
                return request_refused(400)
            asked += 1
            if asked > passing:
                return request_refused(400)
        return all_accepted(len(request.pieces))

    driver = Driver(aep)
    driver.start(batch(pieces(8)))
    driver.run()

    assert driver.dead_letters == []
    assert driver.accepted == 8
