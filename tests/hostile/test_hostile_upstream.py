"""An AEP whose responses never end, are nonsense, or send the bridge elsewhere: it survives all of them."""

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
from tests.hostile.conftest import ORG, Configure, good_events
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed
from tests.support.kafka import Kafka
from tests.support.rawserver import Peer, RawServer, response

pytestmark = pytest.mark.timeout(180)

HUGE, ENDLESS = Rule(action="huge", size=500_000_000), Rule(action="endless")
NOISY_RESPONSES = 12
"""Responses of random bytes before the server behaves."""


@pytest.mark.parametrize("rule", [HUGE, ENDLESS], ids=["500 MB", "endless"])
def test_a_response_without_bound_is_given_up(
    rule: Rule, kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Memory stays under the printed ceiling, and delivery goes on when responses are short again."""
    topic = kafka.clients.create_topic(unique("huge"))
    kafka.clients.produce(topic, good_events(300))
    with Simulator(Config(org=ORG)) as sim:
        number = sim.fault(rule)
        config = configure(sim.inlet_url, topic)
        with Bridge(config, tmp_path) as bridge:
            until(lambda: sim.faults.fired(number) >= 3, 60, bridge.tail())
            until(
                lambda: bridge.metric("aep_bridge_requests_total", status="oversize") >= 2, 30, bridge.tail()
            )
            sim.faults.clear()
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic), 90, bridge.tail())

            assert bridge.peak_bytes() < bridge.printed_ceiling_bytes()
            assert bridge.crash_lines() == []
            assert bridge.stop() == 0
        assert len(sim.accepted) == 300
        assert kafka.clients.read_all(f"{topic}.dlq") == []


def test_a_redirect_is_not_followed(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The other host is never asked, so it gets no token. The status says why the inlet is held."""
    topic = kafka.clients.create_topic(unique("redirect"))
    kafka.clients.produce(topic, good_events(10))
    other_requests: list[str] = []

    def other_host(peer: Peer) -> None:
        while request := peer.request():
            other_requests.append(request.line)
            peer.send(response())

    simulator = Simulator(Config(org=ORG, require_auth=True, client_secrets=("s3cret",)))
    with RawServer(other_host) as other, simulator as sim:
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
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic), 90, bridge.tail())
            assert bridge.stop() == 0
        assert other_requests == []
        assert len(sim.accepted) == 10


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_token_endpoint_is_not_followed(status: int) -> None:
    """307 and 308 would send the client secret to the other host. It is never asked; the error says why."""
    other_requests: list[str] = []

    def other_host(peer: Peer) -> None:
        while request := peer.request():
            other_requests.append(request.line)
            peer.send(response(200, b'{"access_token":"theirs","expires_in":3600}'))

    with RawServer(other_host) as other:

        def redirecting(peer: Peer) -> None:
            while peer.request():
                peer.send(response(status, b"{}", f"Location: {other.url}"))

        with RawServer(redirecting) as ims:
            client = httpx.Client(transport=HttpConnection(proxy=""), follow_redirects=True)
            source = TokenSource(
                url=ims.url, client_id="c", secret=lambda: "s3cret-canary", scope="s", client=client
            )
            with pytest.raises(TokenError, match=f"answered {status}") as refused:
                source.bearer(time.monotonic() + 10)

    assert other_requests == []
    assert "s3cret-canary" not in str(refused.value)


def noise(rng: random.Random) -> bytes:
    """Return bytes that are no HTTP, half of a response, or a response with nonsense in it."""
    if rng.random() < 0.5:
        body = rng.randbytes(rng.randrange(200))
    else:
        # With the index of one of the request's messages this would be an acceptance.
        body = b'{"responses":[{"xactionId":"a:%d"}]}' % rng.randrange(5000, 6000)
    odd_status = rng.choice([100, 204, 207, 299, 304, 599, 999, 1000])
    heads = [
        b"HTTP/1.1 207 Multi-Status\r\nContent-Length: %d\r\n\r\n" % len(body),
        b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (odd_status, len(body)),
        b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\n\r\n" + rng.randbytes(4),
        b"HTTP/1.1 207 X\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 207 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body),
        b"HTTP/1.1 207 X\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"HTTP/9.9 \xff\xff\r\n\r\n",
        rng.randbytes(30),
        b"",
    ]
    return rng.choice(heads) + body


def test_the_sender_survives_responses_of_random_bytes() -> None:
    """400 requests come back with a response, or a fault and a bounded text, and nothing crashes."""
    rng, crashes = random.Random(11), []
    responses: dict[object, object] = {}

    def script(peer: Peer) -> None:
        if peer.request():
            peer.send(noise(rng))

    with RawServer(script) as server, Reactor() as reactor:
        endpoint = Endpoint("i", server.url, proxy="")
        sender = HttpSender(
            {"i": endpoint}, reactor, on_crash=lambda name, error: crashes.append((name, error))
        )

        def received(count: int) -> bool:
            responses.update(reactor.take(0.1))
            return len(responses) == count

        for ticket in range(400):
            sender.send(ticket, BatchRequest("i", [b"{}"], 2.0, 17))
            if ticket % 4 == 3:  # four at a time
                until(lambda count=ticket + 1: received(count), 30)
        sender.close()

    assert set(responses) == set(range(400))
    assert crashes == []
    for each in responses.values():
        assert isinstance(each, BatchResponse)
        assert len(each.error) <= 1000
        assert not each.error.startswith("unexpected")
        assert None not in verdicts(each.body, 3)


def test_random_bytes_lose_nothing_and_dead_letter_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """The process stays alive while AEP sends noise, and delivers everything when that is over."""
    topic = kafka.clients.create_topic(unique("noise"), 2)
    for partition in range(2):
        kafka.clients.produce(topic, good_events(200, prefix=f"n{partition}-"), partition=partition)
    rng, sent = random.Random(12), []
    with Simulator(Config(org=ORG)) as sim:

        def script(peer: Peer) -> None:
            while request := peer.request():
                if len(sent) >= NOISY_RESPONSES:
                    peer.send(forward(sim, request.body))
                    continue
                sent.append(noise(rng))
                peer.send(sent[-1])
                return

        with RawServer(script) as server:
            inlet_url = server.url.replace("/batch/", "/")
            config = configure(inlet_url, topic, delivery={"backoff_max_s": 0.2, "request_timeout_s": 2})
            with Bridge(config, tmp_path) as bridge:
                until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 2), 150, bridge.tail())

                assert bridge.crash_lines() == []
                assert bridge.stop() == 0
        assert len(sim.accepted) == 400
        assert kafka.clients.read_all(f"{topic}.dlq") == []


def forward(sim: Simulator, body: bytes) -> bytes:
    """Send a request's body to the simulator, and return its response."""
    headers = {"content-type": "application/json"}
    answer = httpx.post(sim.batch_url, content=body, headers=headers, timeout=10)
    return response(answer.status_code, answer.content)
