"""An AEP that answers without measure, answers nonsense, or sends us elsewhere: bounded, told, and over when it is over."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.hostile.conftest import ORG, Configure, ceiling, crashes, done, events, peak_bytes, said
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.rawserver import Peer, RawServer, answer

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("rule", [Rule(action="huge", size=500_000_000), Rule(action="endless")], ids=["500 MB", "endless"])
def test_an_answer_without_measure_is_given_up(rule: Rule, kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Memory stays under the printed ceiling, nothing is lost, and delivery goes on when answers are short again."""
    topic = kafka.clients.create_topic(unique("huge"))
    kafka.clients.produce(topic, events(300))
    with Simulator(Config(org=ORG)) as sim:
        number = sim.fault(rule)
        config = configure(sim.inlet_url, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: sim.faults.fired(number) >= 3, 60, bridge.tail())
            until(lambda: bridge.metric("aep_bridge_requests_total", status="oversize") >= 2, 30, bridge.tail())
            sim.faults.clear()
            until(lambda: done(kafka, config["kafka"]["group_id"], topic), 90, bridge.tail())

            assert peak_bytes(bridge) < ceiling(bridge)
            assert [] == crashes(bridge)
            assert 0 == bridge.stop()
        assert 300 == len(sim.accepted)
        assert [] == kafka.clients.read_all(f"{topic}.dlq")


def test_a_redirect_is_not_followed(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The other host is never asked, so no token reaches it; the status says why the inlet is held."""
    topic = kafka.clients.create_topic(unique("redirect"))
    kafka.clients.produce(topic, events(10))
    asked: list[str] = []

    def elsewhere(peer: Peer) -> None:
        while request := peer.request():
            asked.append(request.line)
            peer.send(answer())

    with RawServer(elsewhere) as other, Simulator(Config(org=ORG, require_auth=True, client_secrets=["s3cret"])) as sim:
        auth = {"token_url": sim.token_url, "client_id": sim.config.client_id, "client_secret": "s3cret", "scope": "x"}
        for status in (301, 302, 307, 308):
            sim.fault(Rule(action="status", status=status, headers={"location": other.url}, times=2))
        config = configure(sim.inlet_url, topic, aep={"auth": auth})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: any(inlet["held"] for inlet in bridge.status().get("inlets", [])), 60, bridge.tail())

            assert "30" in said(bridge)
            until(lambda: done(kafka, config["kafka"]["group_id"], topic), 90, bridge.tail())
            assert 0 == bridge.stop()
        assert [] == asked
        assert 10 == len(sim.accepted)


def test_answers_of_random_bytes(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Thousands of bytes that are no HTTP, half HTTP, or HTTP with nonsense: no thread ends, and nothing is lost or dead-lettered."""
    topic = kafka.clients.create_topic(unique("noise"), 2)
    for partition in range(2):
        kafka.clients.produce(topic, events(200, prefix=f"n{partition}-"), partition=partition)
    rng = random.Random(11)
    said_by_aep: list[bytes] = []
    with Simulator(Config(org=ORG)) as sim:

        def noise(peer: Peer) -> None:
            while request := peer.request():
                if len(said_by_aep) >= 60:
                    peer.send(_forwarded(sim, request.body))
                    continue
                body = rng.randbytes(rng.randrange(200)) if rng.random() < 0.5 else b'{"responses":[{"xactionId":"a:%d"}]}' % rng.randrange(-5, 300)
                head = rng.choice(
                    [
                        b"HTTP/1.1 207 Multi-Status\r\nContent-Length: %d\r\n\r\n" % len(body),
                        b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (rng.choice([100, 204, 207, 299, 304, 599, 999, 1000]), len(body)),
                        b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\n\r\n" + rng.randbytes(4),
                        b"HTTP/1.1 207 X\r\nContent-Length: -1\r\n\r\n",
                        b"HTTP/1.1 207 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body),
                        b"HTTP/1.1 207 X\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
                        b"HTTP/9.9 \xff\xff\r\n\r\n",
                        rng.randbytes(30),
                        b"",
                    ]
                )
                said_by_aep.append(head)
                peer.send(head + body)
                return

        with RawServer(noise) as server:
            config = configure(server.url.replace("/batch/", "/"), topic, delivery={"backoff_max_s": 0.2, "request_timeout_s": 2, "max_in_flight": 4})
            with Bridge(config, tmp_path) as bridge:
                until(lambda: len(said_by_aep) >= 60, 90, bridge.tail())
                until(lambda: done(kafka, config["kafka"]["group_id"], topic, 2), 60, bridge.tail())

                assert [] == crashes(bridge)
                assert 0 == bridge.stop()
        assert 400 == len(sim.accepted)
        assert [] == kafka.clients.read_all(f"{topic}.dlq")


def _forwarded(sim: Simulator, body: bytes) -> bytes:
    """A good answer, out of the simulator."""
    import httpx

    good = httpx.post(sim.batch_url, content=body, headers={"content-type": "application/json"}, timeout=10)
    return answer(good.status_code, good.content)
