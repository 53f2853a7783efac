"""The simulator's faults, by Python and by the admin API, over real HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
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


CLIENT = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def send(sim: Simulator, *ids: str, timeout: float = 5, dataset: str = "d1") -> httpx.Response:
    header = {"schemaRef": REF, "imsOrgId": sim.config.org, "datasetId": dataset}
    messages = [
        {"header": header, "body": {"xdmMeta": {"schemaRef": REF}, "xdmEntity": {"_id": one}}} for one in ids
    ]
    return CLIENT.post(sim.batch_url, content=msgspec.json.encode({"messages": messages}), timeout=timeout)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 407, 408, 413, 415, 422, 425, 429, 500, 502, 503, 504, 599]
)
def test_any_status_for_so_many_requests(sim: Simulator, status: int) -> None:
    """The rule ends by itself; nothing was accepted under it."""
    number = sim.fault(Rule(action="status", status=status, times=2))

    assert [send(sim, "a").status_code for _ in range(3)] == [status, status, 207]
    assert sim.accepted == {"a": 1}
    assert sim.faults.fired(number) == 2


def test_a_redirect_names_another_host(sim: Simulator) -> None:
    """A client that followed it would leave the simulator."""
    sim.fault(Rule(action="status", status=307, headers={"Location": "http://other.invalid/x"}, times=1))
    sim.fault(Rule(action="status", status=302))

    assert send(sim, "a").headers["location"] == "http://other.invalid/x"
    assert "invalid" in send(sim, "a").headers["location"]


def test_retry_after_in_seconds_and_as_a_date(sim: Simulator) -> None:
    """The date is measured on the answer's own clock, which may be wrong."""
    sim.configure({"clock_skew_s": -3600})
    sim.fault(Rule(action="status", status=429, retry_after_s=7, times=1))
    sim.fault(Rule(action="status", status=503, retry_after_s=7, retry_after_form="date", times=1))
    seconds, date = send(sim, "a").headers, send(sim, "a").headers

    assert seconds["retry-after"] == "7"
    assert (
        6
        <= (parsedate_to_datetime(date["retry-after"]) - parsedate_to_datetime(date["date"])).total_seconds()
        <= 8
    )
    assert time.time() - parsedate_to_datetime(date["date"]).timestamp() > 3500


def test_a_refusal_after_acceptance(sim: Simulator) -> None:
    """A gateway's 504 whose request went through all the same."""
    sim.fault(Rule(action="status", status=504, accepted=True, body="gone", times=1))
    answer = send(sim, "a")

    assert (answer.status_code, answer.text) == (504, "gone")
    assert sim.accepted == {"a": 1}


def test_rules_match_by_dataset_text_and_inlet(sim: Simulator) -> None:
    """A rule touches only what it names."""
    sim.fault(Rule(action="status", status=500, dataset="d2"))
    sim.fault(Rule(action="status", status=502, contains='"_id":"x"'))
    sim.fault(Rule(action="status", status=504, inlet="other"))

    assert [
        send(sim, "a").status_code,
        send(sim, "a", dataset="d2").status_code,
        send(sim, "x").status_code,
    ] == [207, 500, 502]


def test_a_rule_can_last_for_some_seconds(sim: Simulator) -> None:
    """An outage that ends by the clock."""
    sim.fault(Rule(action="status", status=503, seconds=1))
    before = send(sim, "a").status_code
    time.sleep(1.05)

    assert [before, send(sim, "a").status_code] == [503, 207]


def test_messages_fail_inside_a_207(sim: Simulator) -> None:
    """By id, by text, so many times each; the others are accepted."""
    first = sim.fault(Rule(action="messages", ids=("b",), status=400, body="bad one"))
    sim.fault(Rule(action="messages", marker='"_id":"c', status=429, times_each=2))
    answers = [send(sim, "a", "b", "c1", "c2").json()["responses"] for _ in range(3)]

    assert [[entry.get("statusCode") for entry in answer] for answer in answers] == [
        [None, 400, 429, 429]
    ] * 2 + [[None, 400, None, None]]
    assert answers[0][1]["message"] == "bad one"
    assert sim.accepted == {"a": 3, "c1": 1, "c2": 1}
    assert sim.refused == {("b", 400): 3, ("c1", 429): 2, ("c2", 429): 2}
    assert [seen.rule for seen in sim.requests] == [first] * 3


def test_a_request_without_a_struck_message_met_no_rule() -> None:
    """What a rule about messages let pass is not counted as its work."""
    with Simulator() as sim:
        number = sim.fault(Rule(action="messages", ids=("b",), status=503))
        send(sim, "a")
        send(sim, "b")

        assert [seen.rule for seen in sim.requests] == [None, number]


def test_a_share_of_the_messages_fails(sim: Simulator) -> None:
    """Drawn from the rule's seed."""
    sim.fault(Rule(action="messages", share=0.5, seed=3, status=503))
    entries = send(sim, *[str(n) for n in range(200)]).json()["responses"]

    assert 60 < sum(entry.get("statusCode") == 503 for entry in entries) < 140


def test_poison_refuses_the_whole_request(sim: Simulator) -> None:
    """Nothing of a request with a poisoned message is accepted; without it everything is."""
    sim.fault(Rule(action="poison", ids=("p",), status=422))

    assert [send(sim, "a", "p").status_code, send(sim, "a", "b").status_code, send(sim, "p").status_code] == [
        422,
        207,
        422,
    ]
    assert sim.accepted == {"a": 1, "b": 1}


def test_a_hang_never_answers(sim: Simulator) -> None:
    """The client's own time-out ends it; whether it was accepted is the rule's choice."""
    sim.fault(Rule(action="hang", times=1))
    sim.fault(Rule(action="hang", accepted=True, times=1))
    for event_id in "ab":
        with pytest.raises(httpx.ReadTimeout):
            send(sim, event_id, timeout=0.2)

    assert sim.accepted == {"b": 1}


def test_a_reset_before_or_after_acceptance(sim: Simulator) -> None:
    """The client sees the same; the accounting does not."""
    sim.fault(Rule(action="reset", times=1))
    sim.fault(Rule(action="reset", accepted=True, times=1))
    for event_id in "ab":
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            send(sim, event_id)

    assert sim.accepted == {"b": 1}
    assert sim.stats["requests"] == {"reset": 2}


def test_an_answer_can_come_before_the_body_is_read(sim: Simulator) -> None:
    """A gateway that refuses on the headers alone; the client is still sending, and reads the answer all the same."""
    sim.fault(Rule(action="status", status=503, early=True, times=1))
    answer = send(sim, *map(str, range(3000)))

    assert answer.status_code == 503
    assert answer.headers["connection"] == "close"
    assert send(sim, "a").status_code == 207
    assert sim.accepted == {"a": 1}
    assert sim.stats["requests"] == {"503": 1, "207": 1}


def test_a_reset_can_come_while_the_body_is_sent(sim: Simulator) -> None:
    """The client's write fails, or its read."""
    sim.fault(Rule(action="reset", early=True, times=1))
    with pytest.raises(httpx.TransportError):
        send(sim, *map(str, range(3000)))

    assert send(sim, "a").status_code == 207


@pytest.mark.parametrize("action", ["half", "garbage"])
def test_half_an_answer_and_garbage_break_the_protocol(sim: Simulator, action: Any) -> None:
    """Half an answer comes after acceptance, garbage without."""
    sim.fault(Rule(action=action, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        send(sim, "a")

    assert sim.accepted == ({"a": 1} if action == "half" else {})
    assert send(sim, "a").status_code == 207


def test_a_slow_answer_drips(sim: Simulator) -> None:
    """So many bytes a second, whole in the end."""
    sim.fault(Rule(action="drip", bytes_per_s=400))
    began = time.monotonic()
    answer = send(sim, "a")

    assert len(answer.json()["responses"]) == 1
    assert time.monotonic() - began > len(answer.content) / 400 * 0.7


def test_a_huge_answer_is_as_large_as_asked(sim: Simulator) -> None:
    """It is streamed, and even JSON."""
    sim.fault(Rule(action="huge", size=3_000_000))
    answer = send(sim, "a")

    assert len(answer.content) == 3_000_000
    assert len(answer.json()["responses"]) > 10


def test_an_endless_answer_never_ends(sim: Simulator) -> None:
    """A client must have a cap; leaving frees the server."""
    sim.fault(Rule(action="endless", times=1))
    size = 0
    with httpx.stream("POST", sim.batch_url, content=b'{"messages":[{}]}') as answer:
        for piece in answer.iter_raw():
            size += len(piece)
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
    """Accepted, but the client can't know."""
    sim.fault(Rule(action=action))
    answer = send(sim, "a", "b")

    assert (answer.status_code, answer.content) == (207, content)
    assert set(sim.accepted) == {"a", "b"}


def test_connections_close_announced_or_not(sim: Simulator) -> None:
    """The answer is whole either way."""
    sim.fault(Rule(action="close", times=1))
    sim.fault(Rule(action="drop", times=1))
    announced, silent = send(sim, "a"), send(sim, "a")

    assert announced.headers["connection"] == "close"
    assert "connection" not in silent.headers
    assert [announced.status_code, silent.status_code] == [207, 207]


def test_a_lower_limit(sim: Simulator) -> None:
    """Larger bodies are 413, smaller ones pass."""
    sim.fault(Rule(action="limit", max_bytes=2000))

    assert [send(sim, "a").status_code, send(sim, *map(str, range(20))).status_code] == [207, 413]


def test_a_shape_for_one_request(sim: Simulator) -> None:
    """The next answer is spelled otherwise, the one after as usual."""
    sim.fault(Rule(action="shape", shape=Shape(status=200, drop=1, inlet_key="inletID"), times=1))
    odd, usual = send(sim, "a", "b"), send(sim, "a", "b")

    assert (odd.status_code, len(odd.json()["responses"]), "inletID" in odd.json()) == (200, 1, True)
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


def test_a_stop_ends_what_hangs() -> None:
    """Clients see the end of their connection, and the thread is gone."""
    sim = Simulator()
    sim.start()
    sim.fault(Rule(action="hang"))
    seen: list[Exception] = []

    def client() -> None:
        try:
            send(sim, "a", timeout=30)
        except httpx.TransportError as error:
            seen.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    while sim.stats["in_flight"] == 0:
        time.sleep(0.01)
    sim.stop()
    thread.join(5)

    assert len(seen) == 1
    assert "aep-simulator" not in [one.name for one in threading.enumerate()]


def test_the_admin_api_does_what_python_does(sim: Simulator) -> None:
    """Faults, configuration, accounting and reset, for a simulator in another process."""
    with httpx.Client(base_url=f"{sim.url}/__admin") as admin:
        ids = admin.post(
            "/faults",
            json=[{"action": "status", "status": 500, "times": 1}, {"action": "messages", "ids": ["b"]}],
        ).json()["ids"]
        codes = [send(sim, "a", "b").status_code for _ in range(3)]
        listed = admin.get("/faults").json()["faults"]
        admin.delete(f"/faults/{ids[1]}")
        send(sim, "b")
        left = admin.get("/faults").json()["faults"]
        accepted = [msgspec.json.decode(line) for line in admin.get("/accepted").content.splitlines()]
        twice = admin.get("/accepted", params={"min": 2}).text
        refused = admin.get("/refused").json()
        stats = admin.get("/stats").json()
        requests = admin.get("/requests").json()["requests"]
        put = admin.put("/config", json={"latency_ms": 1, "shape": {"success": "uuid"}}).json()
        admin.delete("/faults")
        admin.post("/reset")

        assert codes == [500, 207, 207]
        assert [(one["id"], one["fired"], one["spent"]) for one in listed] == [
            (ids[0], 1, True),
            (ids[1], 2, False),
        ]
        assert [one["id"] for one in left] == [ids[0]]
        assert accepted == [{"id": "a", "n": 2}, {"id": "b", "n": 1}]
        assert twice == '{"id":"a","n":2}\n'
        assert refused == {"id": "b", "status": 400, "n": 2}
        assert stats["requests"] == {"500": 1, "207": 3}
        assert [one["outcome"] for one in requests] == ["500", "207", "207", "207"]
        assert (put["latency_ms"], put["shape"]["success"], sim.config.latency_ms) == (1, "uuid", 1)
        assert admin.post("/tokens/revoke").json() == {"revoked": 0}
        assert (admin.get("/accepted").text, sim.accepted, admin.get("/faults").json()) == (
            "",
            Counter(),
            {"faults": []},
        )


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "faults", b'{"action":"explode"}', 400),
        ("POST", "faults", b'{"action":"status","sttus":500}', 400),
        ("POST", "faults", b'{"action":"status","every":0}', 400),
        ("POST", "faults", b'{"action":"huge","early":true}', 400),
        ("POST", "faults", b"no", 400),
        ("PUT", "config", b'{"latency":1}', 400),
        ("DELETE", "faults/x", b"", 400),
        ("GET", "nothing", b"", 404),
        ("PATCH", "config", b"{}", 404),
    ],
)
def test_what_the_admin_api_does_not_know_it_says(
    sim: Simulator, method: str, path: str, body: bytes, code: int
) -> None:
    """A mistyped rule is an error, never a fault that silently does nothing."""
    answer = httpx.request(method, f"{sim.url}/__admin/{path}", content=body)

    assert answer.status_code == code
    assert answer.json()["error"]


def test_a_million_ids_are_streamed() -> None:
    """NDJSON in pieces; the connection serves others meanwhile."""
    with Simulator() as sim:
        sim.accounting._accepted.update(str(n) for n in range(1_000_000))
        lines = 0
        with httpx.stream("GET", f"{sim.url}/__admin/accepted", timeout=60) as answer:
            for piece in answer.iter_bytes():
                lines += piece.count(b"\n")

        assert lines == 1_000_000


def test_a_reset_is_a_tcp_reset(sim: Simulator) -> None:
    """Not a polite end: the socket says so."""
    sim.fault(Rule(action="reset"))
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as raw:
        raw.sendall(b"POST /collection/batch/%b HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}" % sim.inlet.encode())
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_many_clients_at_once_are_all_counted() -> None:
    """The accounting holds under concurrency, with faults about."""
    with Simulator(Config(jitter_ms=5)) as sim:
        sim.fault(Rule(action="status", status=503, probability=0.2, seed=1))
        got: list[int] = []

        def client(name: str) -> None:
            for n in range(20):
                with contextlib.suppress(httpx.TransportError):
                    got.append(send(sim, f"{name}-{n}", timeout=20).status_code)

        threads = [threading.Thread(target=client, args=(str(n),)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(got) == 160
        assert sim.accepted.total() == got.count(207)
        assert sim.stats["in_flight_max"] >= 2
