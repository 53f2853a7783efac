"""Dead letters are published until every one is acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bridge.engine.delivery import deliver
from bridge.engine.effects import EffectResult, InletChanged, Settled
from bridge.engine.offsets import LaneState
from bridge.model import DeadLetter, PublishResult, Reason, Refusal
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, inlet, lane, pieces, refused_batch
from tests.support.scripted_aep import entry_accepted, entry_refused, healthy_aep, multi_status


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


def test_what_is_accepted_does_not_wait_for_other_records_dead_letters() -> None:
    """Another partition's record is refused and the dead-letter topic does not respond: this partition's
    offsets go on.
    """
    here, there = lane(partition=0), lane(partition=1)
    delivery = deliver(batch(pieces(2, bad=[1]), [here, there]), inlet(), ["d"] * 2, 0.0)
    next(delivery)
    effect = delivery.send(EffectResult(1.0, multi_status(entry_accepted(0), entry_refused()), 1, -1))
    assert effect == InletChanged(accepted=True, events=())
    effect = delivery.send(EffectResult(1.0))

    assert isinstance(effect, Settled)
    assert list(effect.lanes) == [here]
