"""An AEP that answers without measure, answers nonsense, or sends us elsewhere: bounded, told, and over when it is over."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import httpx
import pytest

from bridge.aep.sender import Endpoint, HttpSender
from bridge.codec.multi_status import verdicts
from bridge.http.connection import HttpConnection
from bridge.http.oauth import TokenError, TokenSource
from bridge.http.reactor import Reactor
from bridge.model import BatchRequest, BatchResponse
from bridge.simulator import Config, Rule, Simulator
from tests.hostile.conftest import ORG, Configure, ceiling, crashes, done, events, peak_bytes
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.rawserver import Peer, RawServer, response

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    "rule", [Rule(action="huge", size=500_000_000), Rule(action="endless")], ids=["500 MB", "endless"]
)
def test_an_answer_without_measure_is_given_up(
    rule: Rule, kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Memory stays under the printed ceiling, nothing is lost, and delivery goes on when answers are short again."""
    topic = kafka.clients.create_topic(unique("huge"))
    kafka.clients.produce(topic, events(300))
    with Simulator(Config(org=ORG)) as sim:
        number = sim.fault(rule)
        config = configure(sim.inlet_url, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: sim.faults.fired(number) >= 3, 60, bridge.tail())
            until(
                lambda: bridge.metric("aep_bridge_requests_total", status="oversize") >= 2, 30, bridge.tail()
            )
            sim.faults.clear()
            until(lambda: done(kafka, config["kafka"]["group_id"], topic), 90, bridge.tail())

            assert peak_bytes(bridge) < ceiling(bridge)
            assert crashes(bridge) == []
            assert bridge.stop() == 0
        assert len(sim.accepted) == 300
        assert kafka.clients.read_all(f"{topic}.dlq") == []


def test_a_redirect_is_not_followed(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The other host is never asked, so no token reaches it; the status says why the inlet is held."""
    topic = kafka.clients.create_topic(unique("redirect"))
    kafka.clients.produce(topic, events(10))
    asked: list[str] = []

    def elsewhere(peer: Peer) -> None:
        while request := peer.request():
            asked.append(request.line)
            peer.send(response())

    with (
        RawServer(elsewhere) as other,
        Simulator(Config(org=ORG, require_auth=True, client_secrets=["s3cret"])) as sim,
    ):
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret": "s3cret",
            "scope": "x",
        }
        for status in (301, 302, 307, 308):
            sim.fault(Rule(action="status", status=status, headers={"location": other.url}, times=2))
        config = configure(sim.inlet_url, topic, aep={"auth": auth})
        with Bridge(config, tmp_path) as bridge:
            held = until(
                lambda: [inlet["held"] for inlet in bridge.status().get("inlets", []) if inlet["held"]],
                60,
                bridge.tail(),
            )

            assert held[0]["reason"] == "address"
            assert re.match("30[1278]: ", held[0]["detail"]), held
            until(lambda: done(kafka, config["kafka"]["group_id"], topic), 90, bridge.tail())
            assert bridge.stop() == 0
        assert asked == []
        assert len(sim.accepted) == 10


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_token_endpoint_is_not_followed(status: int) -> None:
    """307 and 308 would carry the client secret along: the other host is never asked, and the error says what was answered."""
    asked: list[str] = []

    def elsewhere(peer: Peer) -> None:
        while request := peer.request():
            asked.append(request.line)
            peer.send(response(200, b'{"access_token":"theirs","expires_in":3600}'))

    with RawServer(elsewhere) as other:

        def sends_on(peer: Peer) -> None:
            while peer.request():
                peer.send(response(status, b"{}", f"Location: {other.url}"))

        with RawServer(sends_on) as ims:
            client = httpx.Client(transport=HttpConnection(proxy=""), follow_redirects=True)
            source = TokenSource(
                url=ims.url, client_id="c", secret=lambda: "s3cret-canary", scope="s", client=client
            )
            with pytest.raises(TokenError, match=f"answered {status}") as refused:
                source.bearer(time.monotonic() + 10)

    assert asked == []
    assert "s3cret-canary" not in str(refused.value)


def noise(rng: random.Random) -> bytes:
    """What is no HTTP, half HTTP, or HTTP with nonsense."""
    body = (
        rng.randbytes(rng.randrange(200))
        if rng.random() < 0.5
        else b'{"responses":[{"xactionId":"a:%d"}]}' % rng.randrange(5000, 6000)
    )  # one in range would be an acceptance
    head = rng.choice(
        [
            b"HTTP/1.1 207 Multi-Status\r\nContent-Length: %d\r\n\r\n" % len(body),
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n"
            % (rng.choice([100, 204, 207, 299, 304, 599, 999, 1000]), len(body)),
            b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\n\r\n" + rng.randbytes(4),
            b"HTTP/1.1 207 X\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 207 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body),
            b"HTTP/1.1 207 X\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
            b"HTTP/9.9 \xff\xff\r\n\r\n",
            rng.randbytes(30),
            b"",
        ]
    )
    return head + body


def test_the_sender_survives_answers_of_random_bytes() -> None:
    """400 of them: every request comes back as an answer or a fault with a bounded text, and the crash hook is not called."""
    rng, crashed, inbox = random.Random(11), [], Reactor()
    found: dict[object, object] = {}

    def script(peer: Peer) -> None:
        if peer.request():
            peer.send(noise(rng))

    with RawServer(script) as server:
        endpoint = Endpoint("i", server.url, proxy="")
        sender = HttpSender(
            {"i": endpoint}, inbox, on_crash=lambda name, error: crashed.append((name, error))
        )
        for ticket in range(400):
            sender.send(ticket, BatchRequest("i", [b"{}"], 2.0, 17))
            if ticket % 4 == 3:  # four at a time
                until(lambda wanted=ticket + 1: found.update(inbox.take(0.1)) or len(found) == wanted, 30)
        sender.close()

    assert set(range(400)) == set(found)
    assert crashed == []
    for each in found.values():
        assert isinstance(each, BatchResponse)
        assert len(each.error) <= 1000
        assert not each.error.startswith("unexpected")
        assert None not in verdicts(each.body, 3)


def test_random_bytes_lose_and_bury_nothing(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """A process whose AEP talks noise for a while: alive, and everything is delivered when it is over."""
    topic = kafka.clients.create_topic(unique("noise"), 2)
    for partition in range(2):
        kafka.clients.produce(topic, events(200, prefix=f"n{partition}-"), partition=partition)
    rng, said_by_aep = random.Random(12), []
    with Simulator(Config(org=ORG)) as sim:

        def script(peer: Peer) -> None:
            while request := peer.request():
                if len(said_by_aep) >= 12:
                    peer.send(_forwarded(sim, request.body))
                    continue
                said_by_aep.append(noise(rng))
                peer.send(said_by_aep[-1])
                return

        with RawServer(script) as server:
            config = configure(
                server.url.replace("/batch/", "/"),
                topic,
                delivery={"backoff_max_s": 0.2, "request_timeout_s": 2},
            )
            with Bridge(config, tmp_path) as bridge:
                until(lambda: done(kafka, config["kafka"]["group_id"], topic, 2), 150, bridge.tail())

                assert crashes(bridge) == []
                assert bridge.stop() == 0
        assert len(sim.accepted) == 400
        assert kafka.clients.read_all(f"{topic}.dlq") == []


def _forwarded(sim: Simulator, body: bytes) -> bytes:
    """A good answer, out of the simulator."""
    import httpx

    good = httpx.post(sim.batch_url, content=body, headers={"content-type": "application/json"}, timeout=10)
    return response(good.status_code, good.content)
