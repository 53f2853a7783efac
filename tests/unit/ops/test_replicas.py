"""The status of several replicas: rates between two looks, and replicas that do not answer."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.ops import replicas as replicas_module
from bridge.ops.admin_client import NoResponse
from bridge.ops.replicas import Replicas


class FakeBridges:
    """Bridges with one partition each, at these watermarks; an address without one does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watermarks: dict[str, int | None] = {}
        self.now = 100.0
        monkeypatch.setattr(replicas_module, "fetch_status", self.status)
        monkeypatch.setattr(replicas_module.time, "monotonic", lambda: self.now)

    def status(self, address: str) -> dict[str, Any]:
        if address not in self.watermarks:
            raise NoResponse("refused")
        return {"partitions": [{"topic": "t", "partition": 0, "watermark": self.watermarks[address]}]}


def test_a_rate_needs_two_looks_at_a_watermark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate of nothing would look like a partition that stands still."""
    bridges = FakeBridges(monkeypatch)
    rates = []
    with Replicas(["http://a"]) as replicas:
        for watermark in (None, 10, 40, 5, 25):
            bridges.watermarks["http://a"] = watermark
            bridges.now += 2
            (status,) = replicas.fetch()
            rates.append(status["partitions"][0]["per_s"])

    assert rates == [None, None, 15.0, None, 10.0]


def test_replicas_that_do_not_answer_are_shown_beside_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is down must not hide the others; rates are those of each replica."""
    bridges = FakeBridges(monkeypatch)
    bridges.watermarks = {"http://a": 0, "https://b": 0}
    with Replicas(["a", "https://b", "c"]) as replicas:
        replicas.fetch()
        bridges.watermarks = {"http://a": 10, "https://b": 20}
        bridges.now += 1
        first, second, third = replicas.fetch()

    assert (first["admin"], first["partitions"][0]["per_s"]) == ("http://a", 10.0)
    assert (second["admin"], second["partitions"][0]["per_s"]) == ("https://b", 20.0)
    assert third == {"admin": "http://c", "error": "refused"}
