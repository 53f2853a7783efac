"""A delivery, effect by effect, and what is accepted. The other rows of its table have files of their own."""

from __future__ import annotations

import pytest

from bridge.engine.delivery import deliver
from bridge.engine.effects import EffectResult, InletChanged, PublishDeadLetters, Settled, Wait
from bridge.model import BatchRequest, PublishResult
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, inlet, lane, pieces
from tests.support.scripted_aep import all_accepted, entry_accepted, entry_refused, healthy_aep, multi_status


def test_what_is_accepted_is_settled_with_one_request() -> None:
    """All lanes at once."""
    one, two = lane("t", 0), lane("u", 3)
    driver = Driver(healthy_aep)
    driver.start(batch(pieces(5), [one, two]))
    driver.run()

    assert driver.sizes == [5]
    assert [settled for _, settled in driver.settled] == [Settled({"t": 3, "u": 2}, (), [one, two])]
    assert driver.open == []


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
    assert (effect.accepted, list(effect.lanes)) == ({"t": 1}, [])
    effect = delivery.send(EffectResult(1.0))
    assert isinstance(effect, PublishDeadLetters)
    assert [dead_letter.record.offset() for dead_letter in effect.letters] == [1]
    effect = delivery.send(EffectResult(2.0, published=PublishResult()))
    assert isinstance(effect, Settled)
    assert (effect.accepted, list(effect.lanes)) == ({}, [])
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
