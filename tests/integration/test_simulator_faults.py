"""The simulator's faults over real HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec
import pytest

from bridge.simulator import Config, Rule, Shape, Simulator

REF = {
    "id": "https://ns.adobe.com/tenant/schemas/1",
    "contentType": "application/vnd.adobe.xed-full+json;version=1",
}
FORM = {
    "client_id": "bridge",
    "client_secret": "secret",
    "grant_type": "client_credentials",
    "scope": "openid",
}
# Many tests break their connection, so none is kept for the next one.
CLIENT = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def send(sim: Simulator, *ids: str, timeout: float = 5, dataset: str = "d1") -> httpx.Response:
    """Send one batch of messages with these ids."""
    header = {"schemaRef": REF, "imsOrgId": sim.config.org, "datasetId": dataset}
    bodies = [{"xdmMeta": {"schemaRef": REF}, "xdmEntity": {"_id": event_id}} for event_id in ids]
    content = msgspec.json.encode({"messages": [{"header": header, "body": body} for body in bodies]})
    return CLIENT.post(sim.batch_url, content=content, timeout=timeout)


def statuses_of(response: httpx.Response) -> list[int | None]:
    """The `statusCode` of each entry; None for a message that was accepted."""
    return [entry.get("statusCode") for entry in response.json()["responses"]]


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 407, 408, 413, 415, 422, 425, 429, 500, 502, 503, 504, 599]
)
def test_any_status_for_so_many_requests(sim: Simulator, status: int) -> None:
    """The rule ends by itself, and nothing is accepted under it."""
    number = sim.fault(Rule(action="status", status=status, times=2))

    assert [send(sim, "a").status_code for _ in range(3)] == [status, status, 207]
    assert sim.accepted == {"a": 1}
    assert sim.faults.fired(number) == 2


def test_a_redirect_names_another_host(sim: Simulator) -> None:
    """A client that followed it would carry its token to a stranger."""
    sim.fault(Rule(action="status", status=307, headers={"Location": "http://other.invalid/x"}, times=1))
    sim.fault(Rule(action="status", status=302))

    assert send(sim, "a").headers["location"] == "http://other.invalid/x"
    assert "invalid" in send(sim, "a").headers["location"]


def test_retry_after_in_seconds_and_as_a_date(sim: Simulator) -> None:
    """A date is measured on the server's own clock, which may be wrong, and which the `Date` header shows."""
    sim.configure({"clock_skew_s": -3600})
    sim.fault(Rule(action="status", status=429, retry_after_s=7, times=1))
    sim.fault(Rule(action="status", status=503, retry_after_s=7, retry_after_form="date", times=1))
    in_seconds, as_date = send(sim, "a").headers, send(sim, "a").headers
    retry_at, now = (parsedate_to_datetime(as_date[name]) for name in ("retry-after", "date"))

    assert in_seconds["retry-after"] == "7"
    assert 6 <= (retry_at - now).total_seconds() <= 8
    assert time.time() - now.timestamp() > 3500


def test_a_refusal_after_acceptance(sim: Simulator) -> None:
    """A gateway may give up with a 504 on a request that goes through all the same."""
    sim.fault(Rule(action="status", status=504, accepted=True, body="gone", times=1))
    response = send(sim, "a")

    assert (response.status_code, response.text) == (504, "gone")
    assert sim.accepted == {"a": 1}


def test_rules_match_by_dataset_text_and_inlet(sim: Simulator) -> None:
    """A rule changes only requests that meet all of its conditions."""
    sim.fault(Rule(action="status", status=500, dataset="d2"))
    sim.fault(Rule(action="status", status=502, contains='"_id":"x"'))
    sim.fault(Rule(action="status", status=504, inlet="other"))
    responses = [send(sim, "a"), send(sim, "a", dataset="d2"), send(sim, "x")]

    assert [response.status_code for response in responses] == [207, 500, 502]


def test_a_rule_can_last_for_some_seconds(sim: Simulator) -> None:
    """An outage ends by the clock, however many requests it met."""
    sim.fault(Rule(action="status", status=503, seconds=1))
    during = send(sim, "a").status_code
    time.sleep(1.05)

    assert [during, send(sim, "a").status_code] == [503, 207]


def test_messages_fail_inside_a_207(sim: Simulator) -> None:
    """A rule chooses them by id or by a text, so many times each; the other messages are accepted."""
    first = sim.fault(Rule(action="messages", ids=("b",), status=400, body="bad one"))
    sim.fault(Rule(action="messages", marker='"_id":"c', status=429, times_each=2))
    responses = [send(sim, "a", "b", "c1", "c2") for _ in range(3)]

    assert [statuses_of(response) for response in responses] == [
        [None, 400, 429, 429],
        [None, 400, 429, 429],
        [None, 400, None, None],
    ]
    assert responses[0].json()["responses"][1]["message"] == "bad one"
    assert sim.accepted == {"a": 3, "c1": 1, "c2": 1}
    assert sim.refused == {("b", 400): 3, ("c1", 429): 2, ("c2", 429): 2}
    assert [request.rule for request in sim.requests] == [first] * 3


def test_a_request_without_a_chosen_message_met_no_rule(sim: Simulator) -> None:
    """What a rule about messages let pass must not look like its work."""
    number = sim.fault(Rule(action="messages", ids=("b",), status=503))
    send(sim, "a")
    send(sim, "b")

    assert [request.rule for request in sim.requests] == [None, number]


def test_a_share_of_the_messages_fails(sim: Simulator) -> None:
    """They are drawn from the rule's seed."""
    sim.fault(Rule(action="messages", share=0.5, seed=3, status=503))
    statuses = statuses_of(send(sim, *map(str, range(200))))

    assert 60 < statuses.count(503) < 140


def test_poison_refuses_the_whole_request(sim: Simulator) -> None:
    """Nothing of a request with a poisoned message is accepted; without such a message everything is."""
    sim.fault(Rule(action="poison", ids=("p",), status=422))
    responses = [send(sim, "a", "p"), send(sim, "a", "b"), send(sim, "p")]

    assert [response.status_code for response in responses] == [422, 207, 422]
    assert sim.accepted == {"a": 1, "b": 1}


def test_a_hang_never_responds(sim: Simulator) -> None:
    """Its time-out ends the request for a client, which can't know whether the messages were accepted."""
    sim.fault(Rule(action="hang", times=1))
    sim.fault(Rule(action="hang", accepted=True, times=1))
    for event_id in "ab":
        with pytest.raises(httpx.ReadTimeout):
            send(sim, event_id, timeout=0.2)

    assert sim.accepted == {"b": 1}


def test_a_reset_before_or_after_acceptance(sim: Simulator) -> None:
    """The client sees the same; only the accounting shows which it was."""
    sim.fault(Rule(action="reset", times=1))
    sim.fault(Rule(action="reset", accepted=True, times=1))
    for event_id in "ab":
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            send(sim, event_id)

    assert sim.accepted == {"b": 1}
    assert sim.stats["requests"] == {"reset": 2}


def test_a_response_can_come_before_the_body_is_read(sim: Simulator) -> None:
    """A gateway may refuse by the headers alone; a client that is still sending must read it."""
    sim.fault(Rule(action="status", status=503, early=True, times=1))
    response = send(sim, *map(str, range(3000)))

    assert response.status_code == 503
    assert response.headers["connection"] == "close"
    assert send(sim, "a").status_code == 207
    assert sim.accepted == {"a": 1}
    assert sim.stats["requests"] == {"503": 1, "207": 1}


def test_a_reset_can_come_while_the_body_is_sent(sim: Simulator) -> None:
    """Either the client's write fails, or its read."""
    sim.fault(Rule(action="reset", early=True, times=1))
    with pytest.raises(httpx.TransportError):
        send(sim, *map(str, range(3000)))

    assert send(sim, "a").status_code == 207


@pytest.mark.parametrize("action", ["half", "garbage"])
def test_half_a_response_and_garbage_break_the_protocol(sim: Simulator, action: Any) -> None:
    """Half a response comes after acceptance, garbage comes without."""
    sim.fault(Rule(action=action, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        send(sim, "a")

    assert sim.accepted == ({"a": 1} if action == "half" else {})
    assert send(sim, "a").status_code == 207


def test_a_slow_response_drips(sim: Simulator) -> None:
    """It comes at so many bytes a second, and is complete in the end."""
    sim.fault(Rule(action="drip", bytes_per_s=400))
    started = time.monotonic()
    response = send(sim, "a")

    assert len(response.json()["responses"]) == 1
    assert time.monotonic() - started > len(response.content) / 400 * 0.7


def test_a_huge_response_has_the_size_that_was_asked_for(sim: Simulator) -> None:
    """It is streamed and it is JSON, so that only a client's limit protects its memory."""
    sim.fault(Rule(action="huge", size=3_000_000))
    response = send(sim, "a")

    assert len(response.content) == 3_000_000
    assert len(response.json()["responses"]) > 10


def test_an_endless_response_never_ends(sim: Simulator) -> None:
    """A client must have a limit; once it leaves, the server serves others."""
    sim.fault(Rule(action="endless", times=1))
    size = 0
    with httpx.stream("POST", sim.batch_url, content=b'{"messages":[{}]}') as response:
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > 5_000_000:
                break

    assert send(sim, "a").status_code == 207


@pytest.mark.parametrize(
    ("action", "content"),
    [
        ("empty", b""),
        ("not_json", b"<html><body>OK</body></html>"),
        ("nothing", b'{"responses":[{},{}]}'),
        ("no_responses", b'{"inletId":"?","batchId":"?"}'),
    ],
)
def test_a_207_that_says_nothing(sim: Simulator, action: Any, content: bytes) -> None:
    """Everything was accepted, but the client can't know."""
    sim.fault(Rule(action=action))
    response = send(sim, "a", "b")

    assert (response.status_code, response.content) == (207, content)
    assert set(sim.accepted) == {"a", "b"}


def test_connections_close_with_and_without_notice(sim: Simulator) -> None:
    """The response is complete either way; without notice the client tries to use the connection again."""
    sim.fault(Rule(action="close", times=1))
    sim.fault(Rule(action="drop", times=1))
    with_notice, without_notice = send(sim, "a"), send(sim, "a")

    assert with_notice.headers["connection"] == "close"
    assert "connection" not in without_notice.headers
    assert [with_notice.status_code, without_notice.status_code] == [207, 207]


def test_a_lower_limit(sim: Simulator) -> None:
    """A proxy in front of AEP may have a limit of its own: larger bodies are 413, smaller ones pass."""
    sim.fault(Rule(action="limit", max_bytes=2000))

    assert [send(sim, "a").status_code, send(sim, *map(str, range(20))).status_code] == [207, 413]


def test_a_shape_for_one_request(sim: Simulator) -> None:
    """The next response is spelled in another way, and the one after it as usual."""
    sim.fault(Rule(action="shape", shape=Shape(status=200, drop=1, inlet_key="inletID"), times=1))
    shaped, usual = send(sim, "a", "b"), send(sim, "a", "b")

    assert (shaped.status_code, len(shaped.json()["responses"])) == (200, 1)
    assert "inletID" in shaped.json()
    assert (usual.status_code, len(usual.json()["responses"])) == (207, 2)


def test_the_token_endpoint_has_faults_of_its_own(sim: Simulator) -> None:
    """They leave the inlets alone."""
    sim.fault(Rule(endpoint="token", action="status", status=503, retry_after_s=1, times=1))
    sim.fault(Rule(endpoint="token", action="hang", accepted=True, times=1))

    assert httpx.post(sim.token_url, data=FORM).json() == {"error": "server_error"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(sim.token_url, data=FORM, timeout=0.2)
    assert sim.stats["tokens"] == {"issued": 1}
    assert httpx.post(sim.token_url, data=FORM).status_code == 200
    assert send(sim, "a").status_code == 207


def test_a_stop_ends_requests_that_hang() -> None:
    """Clients see their connection end, and the simulator's thread is gone."""
    sim = Simulator()
    sim.start()
    sim.fault(Rule(action="hang"))
    errors: list[Exception] = []

    def client() -> None:
        try:
            send(sim, "a", timeout=30)
        except httpx.TransportError as error:
            errors.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    while sim.stats["in_flight"] == 0:
        time.sleep(0.01)
    sim.stop()
    thread.join(5)

    assert len(errors) == 1
    assert "aep-simulator" not in [each.name for each in threading.enumerate()]


def test_a_reset_is_a_tcp_reset(sim: Simulator) -> None:
    """An orderly end of the connection would be another fault, which clients report in another way."""
    sim.fault(Rule(action="reset"))
    request = b"POST /collection/batch/%b HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}" % sim.inlet.encode()
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as client:
        client.sendall(request)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_many_clients_at_once_are_all_counted() -> None:
    """Tests of loss compare with this account, so it must hold under concurrency and faults."""
    with Simulator(Config(jitter_ms=5)) as sim:
        sim.fault(Rule(action="status", status=503, probability=0.2, seed=1))
        statuses: list[int] = []

        def client(name: str) -> None:
            for number in range(20):
                with contextlib.suppress(httpx.TransportError):
                    statuses.append(send(sim, f"{name}-{number}", timeout=20).status_code)

        threads = [threading.Thread(target=client, args=(str(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(statuses) == 160
        assert sim.accepted.total() == statuses.count(207)
        assert sim.stats["in_flight_max"] >= 2
