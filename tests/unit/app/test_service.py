"""How the parts are put together: what the client tells is heard, and the probe sees a loop that stands still."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import fields

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.app import service as room
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
    made = Service(
        Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": "127.0.0.1:9", "group_id": "g"},
                "aep": {"inlet_url": "https://aep.example/collection/ab12", "ims_org_id": "A@AdobeOrg"},
                "topics": [{"topic": "t"}],
                "admin": {"host": "127.0.0.1", "port": 0},
            }
        )
    )
    made.admin.start()
    yield made
    made.sender.close()
    made.dead_letters.close(0)
    made.admin.stop()


def test_everything_that_the_client_tells_is_heard(service: Service) -> None:
    """No hook of the source is left out; those that only log are rate-limited."""
    events = service.consumer_events.callbacks()
    where = TopicPartition("t", 0)

    assert [
        field.name for field in fields(ConsumerCallbacks) if getattr(events, field.name) is field.default
    ] == []
    with capture_logs() as logs:
        for _ in range(3):
            events.on_headers_renamed(where, [7])
            events.on_store_refused({where: 9})
    assert [("record.header_renamed", "warning"), ("offsets.not_stored", "warning")] == [
        (each["event"], each["log_level"]) for each in logs
    ]


def test_inlets_share_the_organisations_rate_unless_they_have_their_own() -> None:
    """A topic's own inlet inherits it, and counts together with the default one."""
    aep = {"inlet_url": "https://aep.example/collection/ab12", "max_messages_per_s": 6000}
    topics: list[dict[str, object]] = [
        {"topic": "t"},
        {"topic": "elsewhere", "aep": {"inlet_url": "https://aep.example/collection/cd34"}},
        {"topic": "rated", "aep": {"max_messages_per_s": 90}},
        {"topic": "free", "aep": {"max_messages_per_s": None}},
    ]
    made = Service(
        Settings.model_validate(
            {"kafka": {"bootstrap_servers": "127.0.0.1:9", "group_id": "g"}, "aep": aep, "topics": topics}
        )
    )
    made.sender.close()
    made.dead_letters.close(0)

    rates = [
        (each.policy.max_messages_per_s, each.policy.shares_rate)
        for each in (made.engine.view.inlets[route.inlet] for route in made.routes)
    ]
    assert [(6000, True), (6000, True), (90, False), (None, False)] == rates


def test_livez_fails_while_the_loop_stands_still(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only then: a loop with nothing to do turns, and one that goes on is alive again."""
    monkeypatch.setattr(room, "STALLED_S", 0.3)
    stand, stood = threading.Event(), threading.Event()
    time = VirtualTime()

    class Hanging(ScriptedSource):
        def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
            if stand.is_set():
                stood.set()
                until(lambda: not stand.is_set())
            return super().read(limit, timeout_s)

    def probe() -> tuple[int, str]:
        response = httpx.get(f"http://127.0.0.1:{service.admin.port}/livez", timeout=5)
        return response.status_code, response.text

    loop = threading.Thread(target=service.engine.run, args=(Hanging(time),), daemon=True)
    loop.start()
    until(lambda: probe() == (200, "ok"), 10)

    stand.set()
    until(lambda: probe()[0] == 503, 10)
    assert stood.is_set()
    assert "the loop has not turned" in probe()[1]

    stand.clear()
    until(lambda: probe()[0] == 200, 10)
    service.engine.stop()
    loop.join(10)
    assert not loop.is_alive()


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_a_topic_that_only_the_client_finds_is_left_out_and_told() -> None:
    """It has no route. To raise would end the process at every restart, and stop the topics that have one."""
    with MockCluster(topics=dict.fromkeys(("web-a", "web-12", "web-a.dlq"), 1)) as kafka:
        settings = Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": kafka.bootstrap, "group_id": "g"},
                "aep": {"inlet_url": "http://127.0.0.1:9/collection/ab12"},
                "topics": [{"topic": "web-a"}, {"topic": "^never$"}],
                "admin": {"host": "127.0.0.1", "port": 0},
            }
        )
        object.__setattr__(
            settings.topics[1], "topic", "^web-[[:digit:]]+$"
        )  # which the settings refuse: the client reads it, and Python does not
        service = Service(settings)
        with capture_logs() as logs:
            ended: list[int] = []
            run = threading.Thread(target=lambda: ended.append(service.run(signals=False)), daemon=True)
            run.start()
            until(lambda: any(each["event"] == "topics.unmatched" for each in logs), 20)
            until(lambda: [where.topic for where in service.engine.view.lanes] == ["web-a"], 20)
            service.engine.stop()
            run.join(20)

    [told] = [each for each in logs if each["event"] == "topics.unmatched"]
    assert ("error", ["web-12"], 1) == (told["log_level"], told["topics"], told["partitions"])
    assert [0] == ended
