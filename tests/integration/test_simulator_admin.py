"""The simulator's administration over HTTP, for a simulator in another process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from bridge.simulator import Simulator
from tests.integration.test_simulator import batch, message


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def send(sim: Simulator, *ids: str) -> httpx.Response:
    return httpx.post(sim.batch_url, content=batch(*map(message, ids)))


def test_the_administration_does_what_python_does(sim: Simulator) -> None:
    """Faults, configuration, accounting and reset: whatever a test can do in its own process."""
    rules = [{"action": "status", "status": 500, "times": 1}, {"action": "messages", "ids": ["b"]}]
    with httpx.Client(base_url=f"{sim.url}/__admin") as admin:
        ids = admin.post("/faults", json=rules).json()["ids"]
        statuses = [send(sim, "a", "b").status_code for _ in range(3)]
        listed = admin.get("/faults").json()["faults"]
        admin.delete(f"/faults/{ids[1]}")
        send(sim, "b")
        left = admin.get("/faults").json()["faults"]
        accepted = [msgspec.json.decode(line) for line in admin.get("/accepted").content.splitlines()]
        duplicates = admin.get("/accepted", params={"min": 2}).text
        refused = admin.get("/refused").json()
        stats = admin.get("/stats").json()
        requests = admin.get("/requests").json()["requests"]
        config = admin.put("/config", json={"latency_ms": 1, "shape": {"success": "uuid"}}).json()
        admin.delete("/faults")
        admin.post("/reset")

        assert statuses == [500, 207, 207]
        assert [(rule["id"], rule["fired"], rule["spent"]) for rule in listed] == [
            (ids[0], 1, True),
            (ids[1], 2, False),
        ]
        assert [rule["id"] for rule in left] == [ids[0]]
        assert accepted == [{"id": "a", "n": 2}, {"id": "b", "n": 1}]
        assert duplicates == '{"id":"a","n":2}\n'
        assert refused == {"id": "b", "status": 400, "n": 2}
        assert stats["requests"] == {"500": 1, "207": 3}
        assert [request["outcome"] for request in requests] == ["500", "207", "207", "207"]
        assert (config["latency_ms"], config["shape"]["success"], sim.config.latency_ms) == (1, "uuid", 1)
        assert admin.post("/tokens/revoke").json() == {"revoked": 0}
        assert admin.get("/accepted").text == ""
        assert sim.accepted == Counter()
        assert admin.get("/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
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
        ("POST", "tokens/forget", b"", 404),
    ],
)
def test_a_request_that_is_not_understood_is_an_error_with_a_text(
    sim: Simulator, method: str, path: str, body: bytes, status: int
) -> None:
    """A misspelt rule must not be a fault that silently does nothing."""
    response = httpx.request(method, f"{sim.url}/__admin/{path}", content=body)

    assert response.status_code == status
    assert response.json()["error"]


def test_a_million_ids_are_streamed(sim: Simulator) -> None:
    """They are NDJSON in chunks, so that a long test needs no memory for a text of all ids."""
    sim.accounting._accepted.update(str(number) for number in range(1_000_000))
    lines = 0
    with httpx.stream("GET", f"{sim.url}/__admin/accepted", timeout=60) as response:
        for chunk in response.iter_bytes():
            lines += chunk.count(b"\n")

    assert lines == 1_000_000
