"""How inlets are treated, on a real broker: hangs, order, tokens, Retry-After, poison, a shared rate."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed, dead_letter_keys, produce_keyed
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(180)


def test_an_inlet_that_hangs_stops_no_other(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A topic with an inlet of its own goes on while the default inlet hangs, which loses nothing either."""
    hanging_topic = kafka.clients.create_topic(unique("dead"), 2)
    live_topic = kafka.clients.create_topic(unique("alive"), 2)
    with Simulator(Config()) as hanging, Simulator(Config()) as live:
        hanging.fault(Rule(action="hang"))
        names = [str(number) for number in range(3000)]
        large = [(f"d{name}", envelope(f"d{name}", hanging.config.org, size=2000)) for name in names]
        small = [(f"a{name}", envelope(f"a{name}", live.config.org)) for name in names]
        produce_keyed(kafka, hanging_topic, large, 2)
        produce_keyed(kafka, live_topic, small, 2)
        config = configure(
            hanging,
            topics=[{"topic": hanging_topic}, {"topic": live_topic, "aep": {"inlet_url": live.inlet_url}}],
            delivery={"window_bytes": 2_500_000, "request_timeout_s": 5},
        )
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, group, live_topic, 2), 60, bridge.tail())

            assert len(hanging.accepted) == 0
            hanging.faults.clear()
            until(lambda: all_committed(kafka, group, hanging_topic, 2), 90, bridge.tail())
        assert len(hanging.accepted) == 3000
        assert len(live.accepted) == 3000
        assert dead_letter_keys(kafka, hanging_topic) == {}


def test_order_is_kept_where_it_is_asked_for(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """With `ordering: partition` the last arrivals of the events are in the order of the partition.

    AEP refuses messages in the middle of a request, and has accepted what stood behind them by then. All of
    that is sent again, so that the last word of an upsert is the right one.
    """
    topic = kafka.clients.create_topic(unique("order"), 3)
    with Simulator(Config(order_key="")) as sim:
        events = []
        for number in range(3000):
            name, dataset = f"{number % 3}-{number:05}", DATASETS[number // 100 % 2]
            events.append((name, envelope(name, sim.config.org, dataset=dataset)))
        sim.fault(Rule(action="messages", status=503, share=0.02, times_each=1, seed=3))
        sim.fault(Rule(action="messages", status=400, marker="00777"))
        produce_keyed(kafka, topic, events, 3)
        delivery = {"ordering": "partition", "backoff_max_s": 1}
        config = configure(sim, topic, delivery=delivery, batch={"max_messages": 50})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 3), 120, bridge.tail())
        order = next(iter(sim.accounting.order.values()))
        for partition in range(3):
            backwards = [event for event in reversed(order) if event.startswith(f"{partition}-")]
            last_arrivals = list(dict.fromkeys(backwards))

            assert last_arrivals == sorted(last_arrivals, reverse=True)
        assert len(sim.accepted) == 3000 - 1
        assert list(dead_letter_keys(kafka, topic)) == ["0-00777"]


def test_a_revoked_token_is_replaced_and_a_rotated_secret_is_read_again(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A refusal refreshes the token, and the file of the secret is read at each refresh."""
    topic = kafka.clients.create_topic(unique("token"), 2)
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    with Simulator(Config(require_auth=True, client_secrets=("first",))) as sim:
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret_file": str(secret),
            "scope": "openid",
        }
        before = [(f"t{number}", envelope(f"t{number}", sim.config.org)) for number in range(500)]
        after = [(f"u{number}", envelope(f"u{number}", sim.config.org)) for number in range(500)]
        config = configure(sim, topic, aep={"auth": auth}, delivery={"backoff_max_s": 1})
        with Bridge(config, tmp_path) as bridge:
            produce_keyed(kafka, topic, before, 2)
            until(lambda: len(sim.accepted) == 500, 60, bridge.tail())
            sim.configure({"client_secrets": ["second"]})
            secret.write_text("second\n")
            sim.tokens.revoke()
            produce_keyed(kafka, topic, after, 2)
            until(lambda: len(sim.accepted) == 1000, 60, bridge.tail())
            log = bridge.log_text()
        assert "first" not in log
        assert "second" not in log.replace("seconds", "")
        assert sim.duplicates == {}


def test_retry_after_is_waited_for(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """After a 429 with Retry-After: 3 nothing is sent for three seconds, and nothing is dead-lettered."""
    topic = kafka.clients.create_topic(unique("after"), 1)
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="status", status=429, times=1, retry_after_s=3))
        produce_keyed(kafka, topic, [("x", envelope("x", sim.config.org))], 1)
        config = configure(sim, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: len(sim.accepted) == 1, 60, bridge.tail())
        refused_at, accepted_at = [request.at for request in sim.requests][-2:]

        assert 3 <= accepted_at - refused_at < 6
        assert dead_letter_keys(kafka, topic) == {}


def test_a_poisoned_batch_loses_only_its_poison(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """AEP refuses a whole request for one of its messages. Halving finds it, and only it is dead-lettered."""
    topic = kafka.clients.create_topic(unique("poison"), 2)
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="poison", status=400, marker="poison"))
        events = []
        for number in range(600):
            name = f"poison{number}" if number in {77, 400} else f"p{number}"
            events.append((f"p{number}", envelope(name, sim.config.org)))
        produce_keyed(kafka, topic, events, 2)
        config = configure(sim, topic, batch={"max_messages": 200})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 2), 120, bridge.tail())
        assert sorted(dead_letter_keys(kafka, topic)) == ["p400", "p77"]
        assert len(sim.accepted) == 598
        assert sim.duplicates == {}


def test_an_organisation_wide_rate_is_kept_by_all_replicas_together(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """One replica, then three, then two: in no span of time is more accepted than the rate allows.

    Each replica takes the share of its partitions.
    """
    rate, batch_messages, partitions, total = 1000, 25, 6, 16_000
    topic = kafka.clients.create_topic(unique("rate"), partitions)
    accepted: list[tuple[float, int]] = []
    with Simulator(Config()) as sim:
        names = [f"q{number:05}" for number in range(total)]
        produce_keyed(kafka, topic, [(name, envelope(name, sim.config.org)) for name in names], partitions)
        config = configure(
            sim,
            topic,
            batch={"max_messages": batch_messages},
            aep={"max_messages_per_s": rate},
            kafka={"properties": {"session.timeout.ms": 6000}},
        )
        replicas = [Bridge(config, tmp_path, name=f"replica-{number}") for number in range(3)]

        def reached(count: int) -> bool:
            accepted.append((time.monotonic(), len(sim.accepted)))
            return accepted[-1][1] >= count

        try:
            for number, replica in enumerate(replicas):
                replica.start()
                until(lambda number=number: reached(2000 + 3000 * number), 60, replica.tail())
            assert replicas[0].stop() == 0
            until(lambda: reached(total), 60, replicas[1].tail())
            for replica in replicas[1:]:
                assert replica.stop() == 0
        finally:
            for replica in replicas:
                replica.kill()
    # A request of each replica may be in flight, and each may have saved up a tenth of a second.
    allowed_excess = 3 * batch_messages + 0.1 * rate + 50
    for (start, before), (end, after) in itertools.combinations(accepted, 2):
        excess = after - before - (end - start) * rate
        assert excess <= allowed_excess, (start - accepted[0][0], end - start, after - before)
