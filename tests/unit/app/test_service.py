"""The parts work together: every report of Kafka's client arrives, and `/livez` fails when the loop stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import fields

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.app import assembly
from bridge.app import service as service_module
from bridge.app.service import Service
from bridge.config.settings import Settings
from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.model import Slice, TopicPartition
from tests.support.clients import until
from tests.support.scripted_ports import ScriptedSource, VirtualTime


@pytest.fixture
def service() -> Iterator[Service]:
    """A service whose brokers can't be reached, with its admin port open."""
    running = Service(
        Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": "127.0.0.1:9", "group_id": "g"},
                "aep": {"inlet_url": "https://aep.example/collection/ab12", "ims_org_id": "A@AdobeOrg"},
                "topics": [{"topic": "t"}],
                "admin": {"host": "127.0.0.1", "port": 0},
            }
        )
    )
    running.admin.start()
    yield running
    running.sender.close()
    running.dead_letters.close(0)
    running.admin.stop()


def test_every_report_of_the_client_has_a_callback(service: Service) -> None:
    """A callback that is left out would hide a failure. Those that only log write one line a second."""
    events = service.consumer_events.callbacks()
    where = TopicPartition("t", 0)

    names = [
        field.name for field in fields(ConsumerCallbacks) if getattr(events, field.name) is field.default
    ]
    assert names == []
    with capture_logs() as logs:
        for _ in range(3):
            events.on_headers_renamed(where, [7])
            events.on_store_refused({where: 9})
    lines = [(line["event"], line["log_level"]) for line in logs]
    assert lines == [("record.header_renamed", "warning"), ("offsets.not_stored", "warning")]


def test_inlets_share_the_organisations_rate_unless_they_have_their_own() -> None:
    """The quota is the organisation's: a topic's own inlet inherits it, and takes its part of it."""
    aep = {"inlet_url": "https://aep.example/collection/ab12", "max_messages_per_s": 6000}
    topics: list[dict[str, object]] = [
        {"topic": "t"},
        {"topic": "elsewhere", "aep": {"inlet_url": "https://aep.example/collection/cd34"}},
        {"topic": "rated", "aep": {"max_messages_per_s": 90}},
        {"topic": "free", "aep": {"max_messages_per_s": None}},
    ]
    settings = Settings.model_validate(
        {"kafka": {"bootstrap_servers": "127.0.0.1:9", "group_id": "g"}, "aep": aep, "topics": topics}
    )
    inlets = assembly.inlets(settings)

    policies = [inlets[route.inlet].policy for route in assembly.routes(settings)]
    rates = [(policy.max_messages_per_s, policy.shares_rate) for policy in policies]
    assert rates == [(6000, True), (6000, True), (90, False), (None, False)]


def test_livez_fails_while_the_loop_stands_still(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails only then: a loop with nothing to do turns, and one that goes on is alive again."""
    monkeypatch.setattr(service_module, "STALLED_S", 0.3)
    stall, is_stalled = threading.Event(), threading.Event()
    time = VirtualTime()

    class Hanging(ScriptedSource):
        def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
            if stall.is_set():
                is_stalled.set()
                until(lambda: not stall.is_set())
            return super().read(limit, timeout_s)

    def probe() -> tuple[int, str]:
        response = httpx.get(f"http://127.0.0.1:{service.admin.port}/livez", timeout=5)
        return response.status_code, response.text

    loop = threading.Thread(target=service.engine.run, args=(Hanging(time),), daemon=True)
    loop.start()
    until(lambda: probe() == (200, "ok"), 10)

    stall.set()
    until(lambda: probe()[0] == 503, 10)
    assert is_stalled.is_set()
    assert "the loop has not turned" in probe()[1]

    stall.clear()
    until(lambda: probe()[0] == 200, 10)
    service.engine.stop()
    loop.join(10)
    assert not loop.is_alive()


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_a_topic_that_only_the_client_matches_is_ignored_with_an_error() -> None:
    """It has no route. An exception would end the process after every restart, and stop the other topics."""
    with MockCluster(topics=dict.fromkeys(("web-a", "web-12", "web-a.dlq"), 1)) as kafka:
        settings = Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": kafka.bootstrap, "group_id": "g"},
                "aep": {"inlet_url": "http://127.0.0.1:9/collection/ab12"},
                "topics": [{"topic": "web-a"}, {"topic": "^never$"}],
                "admin": {"host": "127.0.0.1", "port": 0},
            }
        )
        # The settings refuse this regex, which only the client reads as one.
        object.__setattr__(settings.topics[1], "topic", "^web-[[:digit:]]+$")
        service = Service(settings)
        with capture_logs() as logs:
            exit_codes: list[int] = []
            run = threading.Thread(target=lambda: exit_codes.append(service.run(signals=False)), daemon=True)
            run.start()
            until(lambda: any(line["event"] == "topics.unmatched" for line in logs), 20)
            until(lambda: [partition.topic for partition in service.engine.view.lanes] == ["web-a"], 20)
            service.engine.stop()
            run.join(20)

    [line] = [line for line in logs if line["event"] == "topics.unmatched"]
    assert (line["log_level"], line["topics"], line["partitions"]) == ("error", ["web-12"], 1)
    assert exit_codes == [0]
