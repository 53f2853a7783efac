"""More of the contract on a real broker: formats, order, several inlets, tokens, back-pressure, regexes, tombstones and large records."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.end_to_end.conftest import Configure
from tests.end_to_end.test_delivery import fill, letters, settled
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, SCHEMA, envelope

pytestmark = pytest.mark.timeout(180)

ODD = '{ "_id" : "%s", "big":9400100000000000000000, "exp": 1e400,"twice":1, "twice" : 2.50,\t"esc":"\\u00e9\\/ \\ud83d\\ude00", "ünï": "ö" }'


def test_entities_are_wrapped_and_their_own_bytes_arrive(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """`entity`: the value is spliced into header and body, and not one of its bytes changes."""
    topic = kafka.clients.create_topic(unique("entity"), 1)
    with Simulator(Config(keep_bytes=True)) as sim:
        values = [(f"n{number}", (ODD % f"n{number}").encode()) for number in range(50)]
        fill(kafka, topic, values, 1)
        entry = {
            "topic": topic,
            "format": "entity",
            "dataset_id": DATASETS[1],
            "schema_id": SCHEMA,
            "schema_version": "1",
        }
        config = configure(sim, topics=[entry])
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 1), 60, bridge.tail())
        assert sim.accepted.keys() == {event for event, _ in values}
        for event, value in values:
            assert sim.entity(event) == value
            assert (
                DATASETS[1]
                == json.loads(sim.message(event).split(b',"body"')[0].removeprefix(b'{"header":'))[
                    "datasetId"
                ]
            )


def test_the_mapping_names_the_dataset_where_the_header_has_none(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """`envelope` without a dataset: the mapping's is written into the header; with one, nothing is touched."""
    topic = kafka.clients.create_topic(unique("dataset"), 1)
    with Simulator(Config(keep_bytes=True)) as sim:
        own, other = (
            envelope("own", sim.config.org, dataset=DATASETS[0]),
            envelope("other", sim.config.org, dataset=None),
        )
        fill(kafka, topic, [("own", own), ("other", other)], 1)
        config = configure(sim, topics=[{"topic": topic, "dataset_id": DATASETS[1]}])
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 1), 60, bridge.tail())
        assert sim.message("own") == own
        assert sim.message("other").replace(b'"datasetId":"%b",' % DATASETS[1].encode(), b"") == other
        assert sim.message("other").count(b"datasetId") == 1


def test_one_dead_inlet_stops_no_other(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A topic with an inlet of its own goes on while the default inlet hangs, and the other way round nothing is lost."""
    dead, alive = (
        kafka.clients.create_topic(unique("dead"), 2),
        kafka.clients.create_topic(unique("alive"), 2),
    )
    with Simulator(Config()) as first, Simulator(Config()) as second:
        first.fault(Rule(action="hang"))
        fill(
            kafka,
            dead,
            [(f"d{number}", envelope(f"d{number}", first.config.org, size=2000)) for number in range(3000)],
            2,
        )
        fill(
            kafka,
            alive,
            [(f"a{number}", envelope(f"a{number}", second.config.org)) for number in range(3000)],
            2,
        )
        entry = {"topic": alive, "aep": {"inlet_url": second.inlet_url}}
        config = configure(
            first,
            topics=[{"topic": dead}, entry],
            delivery={"window_bytes": 2_500_000, "request_timeout_s": 5},
        )
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], alive, 2), 60, bridge.tail())

            assert len(first.accepted) == 0
            first.faults.clear()
            until(lambda: settled(kafka, config["kafka"]["group_id"], dead, 2), 90, bridge.tail())
        assert (3000, 3000) == (len(first.accepted), len(second.accepted))
        assert len(letters(kafka, dead)) == 0


def test_order_is_kept_where_it_is_asked_for(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """`ordering: partition`: what arrives last for each event is in the partition's order, though AEP turns messages away in the middle of a request.

    AEP has accepted what stood behind such a message by then; all of that is sent again, so that an upsert's last word is the right one.
    """
    topic = kafka.clients.create_topic(unique("order"), 3)
    with Simulator(Config(order_key="")) as sim:
        values = [
            (
                f"{number % 3}-{number:05}",
                envelope(f"{number % 3}-{number:05}", sim.config.org, dataset=DATASETS[number // 100 % 2]),
            )
            for number in range(3000)
        ]
        sim.fault(Rule(action="messages", status=503, share=0.02, times_each=1, seed=3))
        sim.fault(Rule(action="messages", status=400, marker="00777"))
        fill(kafka, topic, values, 3)
        config = configure(
            sim, topic, delivery={"ordering": "partition", "backoff_max_s": 1}, batch={"max_messages": 50}
        )
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 3), 120, bridge.tail())
        order = next(iter(sim.accounting.order.values()))
        for partition in range(3):
            last = list(
                dict.fromkeys(event for event in reversed(order) if event.startswith(f"{partition}-"))
            )

            assert sorted(last, reverse=True) == last
        assert len(sim.accepted) == 3000 - 1
        assert list(letters(kafka, topic)) == ["0-00777"]


def test_a_revoked_token_is_replaced_and_a_rotated_secret_is_read_again(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Tokens come from the token endpoint, a refusal refreshes them, and the secret's file is read at each refresh."""
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
        config = configure(sim, topic, aep={"auth": auth}, delivery={"backoff_max_s": 1})
        with Bridge(config, tmp_path) as bridge:
            fill(
                kafka,
                topic,
                [(f"t{number}", envelope(f"t{number}", sim.config.org)) for number in range(500)],
                2,
            )
            until(lambda: len(sim.accepted) == 500, 60, bridge.tail())
            sim.configure({"client_secrets": ["second"]})
            secret.write_text("second\n")
            sim.tokens.revoke()
            fill(
                kafka,
                topic,
                [(f"u{number}", envelope(f"u{number}", sim.config.org)) for number in range(500)],
                2,
            )
            until(lambda: len(sim.accepted) == 1000, 60, bridge.tail())
            log = bridge.log_path.read_text()
        assert "first" not in log
        assert "second" not in log.replace("seconds", "")
        assert sim.duplicates == {}


def test_a_regex_reads_every_matching_topic_but_never_a_dead_letter_topic(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """`^regex`: topics that match are read, those made later too, each with its own dead-letter topic, which the regex matches as well and which is left alone.

    As long as none matches there is nothing to join for: that is told, and the process is ready.
    """
    prefix = unique("rx")
    with Simulator(Config()) as sim:
        config = configure(
            sim,
            topics=[{"topic": f"^{prefix}-.*"}],
            kafka={"properties": {"topic.metadata.refresh.interval.ms": 1000}},
        )
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_ready()
            assert "topics.missing" in bridge.tail()
            one = kafka.clients.create_topic(f"{prefix}-one", 1)
            fill(kafka, one, [("a", envelope("a", sim.config.org)), ("bad", b"junk")], 1)
            until(lambda: settled(kafka, config["kafka"]["group_id"], one, 1), 60, bridge.tail())
            two = kafka.clients.create_topic(f"{prefix}-two", 1)
            fill(kafka, two, [("b", envelope("b", sim.config.org)), ("worse", b"[]")], 1)
            until(lambda: settled(kafka, config["kafka"]["group_id"], two, 1), 90, bridge.tail())
            until(lambda: bridge.metric("aep_bridge_records_dead_lettered_total") == 2, 10, bridge.tail())

            assert bridge.metric("aep_bridge_records_read_total") == 4
        assert sim.accepted.keys() == {"a", "b"}
        assert (["bad"], ["worse"]) == (list(letters(kafka, one)), list(letters(kafka, two)))


def test_tombstones_are_skipped_counted_and_settled(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A null value moves the offset and nothing else."""
    topic = kafka.clients.create_topic(unique("null"), 1)
    with Simulator(Config()) as sim:
        kafka.clients.produce(topic, [None, envelope("x", sim.config.org), None], key=b"k")
        config = configure(sim, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 1), 60, bridge.tail())

            assert bridge.metric("aep_bridge_records_skipped_total", reason="tombstone") == 2
        assert list(sim.accepted) == ["x"]
        assert len(letters(kafka, topic)) == 0


def test_a_record_that_no_request_can_hold_is_dead_lettered_whole(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """More than a megabyte can't be sent; the dead letter holds all of it."""
    topic = kafka.clients.create_topic(unique("large"), 1, max_message_bytes="3000000")
    with Simulator(Config()) as sim:
        large = envelope("large", sim.config.org, size=2_000_000)
        fill(
            kafka,
            topic,
            [
                ("large", large),
                ("edge", envelope("edge", sim.config.org, size=999_985)),
                ("ok", envelope("ok", sim.config.org)),
            ],
            1,
        )
        config = configure(sim, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 1), 60, bridge.tail())
        letter = kafka.clients.read_all(f"{topic}.dlq")[0]

        assert (b"large", large) == (letter.key(), letter.value())
        assert sim.accepted.keys() == {"edge", "ok"}
        assert sim.stats["max_request_bytes"] == 1_000_000


def test_retry_after_is_waited_for(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """After a 429 with Retry-After: 3 nothing is sent for three seconds, and nothing is dead-lettered."""
    topic = kafka.clients.create_topic(unique("after"), 1)
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="status", status=429, times=1, retry_after_s=3))
        fill(kafka, topic, [("x", envelope("x", sim.config.org))], 1)
        config = configure(sim, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: len(sim.accepted) == 1, 60, bridge.tail())
        refused, accepted = [seen.at for seen in sim.requests][-2:]

        assert 3 <= accepted - refused < 6
        assert len(letters(kafka, topic)) == 0


def test_a_poisoned_batch_loses_only_its_poison(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """AEP refuses whole requests for one message of them: halving finds it, and only it is dead-lettered."""
    topic = kafka.clients.create_topic(unique("poison"), 2)
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="poison", status=400, marker="poison"))
        values = [
            (
                f"p{number}",
                envelope(f"p{number}" if number not in (77, 400) else f"poison{number}", sim.config.org),
            )
            for number in range(600)
        ]
        fill(kafka, topic, values, 2)
        config = configure(sim, topic, batch={"max_messages": 200})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 2), 120, bridge.tail())
        assert sorted(letters(kafka, topic)) == ["p400", "p77"]
        assert len(sim.accepted) == 598
        assert sim.duplicates == {}


def test_an_organisation_wide_rate_is_kept_by_all_replicas_together(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """One replica, then three, then two: in no span of time more is accepted than the rate allows: each takes the share of its partitions."""
    rate, batch, partitions, total = 1000, 25, 6, 16_000
    topic = kafka.clients.create_topic(unique("rate"), partitions)
    accepted: list[tuple[float, int]] = []
    with Simulator(Config()) as sim:
        fill(
            kafka,
            topic,
            [(f"q{number:05}", envelope(f"q{number:05}", sim.config.org)) for number in range(total)],
            partitions,
        )
        quick = {"session.timeout.ms": 6000}
        config = configure(
            sim,
            topic,
            batch={"max_messages": batch},
            aep={"max_messages_per_s": rate},
            kafka={"properties": quick},
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
    overdrawn = (
        3 * batch + 0.1 * rate
    )  # a request of each may be under way, and a tenth of a second may be saved up
    for start, before in accepted:
        for end, after in accepted:
            if end > start:
                assert after - before <= (end - start) * rate + overdrawn + 50, (
                    start - accepted[0][0],
                    end - start,
                    after - before,
                )
