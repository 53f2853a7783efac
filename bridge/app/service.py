"""The whole bridge of one process, built from its settings. `aep-bridge run` and `aep-bridge demo` run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import structlog

from bridge import __version__
from bridge.aep.sender import HttpSender
from bridge.app import assembly
from bridge.app.consumer_events import ConsumerEvents
from bridge.app.last_dead_letters import LastDeadLetters
from bridge.app.status import Status
from bridge.app.topic_preparation import TopicPreparation
from bridge.codec.routes import routes_by_topic
from bridge.config.memory_ceiling import ceiling
from bridge.config.secret_files import read_secret
from bridge.config.settings import Settings
from bridge.engine.engine import Engine
from bridge.engine.events import Observer
from bridge.engine.skips import SkipOrder
from bridge.engine.states import Leaving, Running
from bridge.http.oauth import TokenSource
from bridge.http.reactor import Reactor
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.kafka.topic_monitor import TopicMonitor
from bridge.kafka.topics import TopicAdmin, TopicError
from bridge.model import TopicPartition
from bridge.ops import shutdown, tuning
from bridge.ops.admin_app import AdminOperations
from bridge.ops.admin_server import AdminServer
from bridge.ops.telemetry import Telemetry
from bridge.ports import Fatal

log = structlog.get_logger("bridge")

STALLED_S = 60.0
"""`/livez` fails if the loop has not turned for this long. It also turns while it drains, and while a revoke
waits for open requests.
"""
STATISTICS_MS = 2000
"""The interval at which Kafka's client reports its statistics, from which the lag is computed.
`kafka.properties` may set another one.
"""


class Service:
    """The parts of one process. Build it, and call `run` once."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        """`observers` receive the engine's events after the observers of the service itself.

        Raises OSError, ValueError or ssl.SSLError if TLS files, a proxy or the admin port can't be used, and
        `PropertiesRefused` if Kafka's client refuses its properties.
        """
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self.routes = assembly.routes(settings)
        self.completions = Reactor()
        aep = assembly.inlet_settings(settings)
        proxies = {name: assembly.proxy(name, each) for name, each in aep.items()}
        self.tokens: dict[str, TokenSource] = {}
        for name, each in aep.items():
            if (
                source := assembly.token_source(each, proxies[name], self._on_token_failure(name))
            ) is not None:
                self.tokens[name] = source
        self.sender = HttpSender(
            {
                name: assembly.endpoint(name, each, proxies[name], self.tokens.get(name))
                for name, each in aep.items()
            },
            self.completions,
            on_crash=lambda name, error: log.error("request.crashed", inlet=name, error=repr(error)),
        )
        self._no_topic_matches = False
        """Whether the mapping has only regexes, and the brokers no topic that matches. Then there is no group
        to join yet.
        """
        self._error: Exception | None = None
        self.topics = TopicMonitor(
            settings,
            lambda: TopicAdmin(settings.admin_properties()),
            self._assigned_partitions,
            self._on_counts,
            self._on_topic_error,
        )
        self.dead_letters = KafkaDeadLetterProducer(
            settings.producer_properties(),
            self.completions,
            lambda error: self.telemetry.kafka_error(error.str()),
            blocking_reason=self.topics.blocking_reason,
            on_missing_topic=self.topics.request_recheck,
        )
        last_dead_letters = LastDeadLetters()
        self.engine = Engine(
            route_of=routes_by_topic(self.routes),
            inlets=assembly.inlets(settings),
            sender=self.sender,
            dead_letters=self.dead_letters,
            completions=self.completions,
            clock=time.monotonic,
            settings=assembly.engine_settings(settings),
            observers=[
                *self.telemetry.observers,
                last_dead_letters,
                TopicPreparation(self.topics),
                *observers,
            ],
        )
        self._status = Status(
            settings=settings,
            routes=self.routes,
            engine=self.engine,
            topics=self.topics,
            tokens=self.tokens,
            telemetry=self.telemetry,
            last_dead_letters=last_dead_letters,
        )
        self.telemetry.watch(lambda: self.engine.status, lambda: self.topics.end_offsets, self._token_ages)
        self.telemetry.metrics.start_at_zero(topic.topic for topic in settings.topics if not topic.is_regex)
        self.consumer_events = ConsumerEvents(settings, self.telemetry, self.topics, self.engine)
        self.admin = AdminServer(self._admin_operations(), settings.admin.host, settings.admin.port)

    # -- operations of the admin port -----------------------------------------------------

    def _admin_operations(self) -> AdminOperations:
        token_file = self.settings.admin.token_file
        return AdminOperations(
            registry=self.telemetry.registry,
            alive=self.alive,
            ready=self.ready,
            status=self.status,
            token=None if token_file is None else lambda: read_secret(token_file),
            skip=self.skip,
        )

    def alive(self) -> str | None:
        """Return what is wrong with the loop, or None."""
        since_turn_s = time.monotonic() - self.engine.beat
        return f"the loop has not turned for {since_turn_s:.0f} s" if since_turn_s > STALLED_S else None

    def ready(self) -> str | None:
        """Return why this process is not ready, or None. It stays ready while AEP is down."""
        if not isinstance(self.engine.state, Running):
            return "draining"
        if self.engine.joined or self._no_topic_matches:
            return None
        return "the consumer group has not been joined yet"

    def status(self) -> dict[str, Any]:
        """Return the document of `/api/status`."""
        return self._status.document(ready=self.ready() is None)

    def skip(self, topic: str, partition: int, offset: int, who: str, why: str) -> Future[str]:
        """Order a record to its dead-letter topic. Any thread may call this.

        The future's result says in words what became of the order.
        """
        order = SkipOrder(TopicPartition(topic, partition), offset, who, why)
        log.warning("skip.ordered", topic=topic, partition=partition, offset=offset, who=who, why=why)
        self.completions.put(order, None)
        return order.done

    # -- reports of other threads, and values for them --------------------------------------

    def _on_token_failure(self, inlet: str) -> Callable[[str], None]:
        return lambda error: self.telemetry.token_refresh_failed(inlet, error)

    def _token_ages(self) -> dict[str, float]:
        return {name: age for name, source in self.tokens.items() if (age := source.age_s) is not None}

    def _assigned_partitions(self) -> list[TopicPartition]:
        entries = self.engine.status.get("partitions", [])
        return [TopicPartition(entry["topic"], entry["partition"]) for entry in entries]

    def _on_counts(self, counts: Mapping[str, int]) -> None:
        self.engine.note_partition_counts(counts)
        self._no_topic_matches = not counts and all(topic.is_regex for topic in self.settings.topics)

    def _on_topic_error(self, error: TopicError) -> None:
        self._error = error
        self.engine.stop()

    # -- start and end ------------------------------------------------------------------------

    def run(self, *, signals: bool = True) -> int:
        """Deliver until a SIGTERM (or `engine.stop`), then drain. Return the exit code.

        Without `signals` no signal handler is set and no watchdog runs.
        """
        self.telemetry.memory_ceiling(*ceiling(self.settings))
        for warning in self.settings.warnings:
            log.warning("configuration.warning", warning=warning)
        self.admin.start()
        log.info(
            "bridge.started",
            version=__version__,
            group=self.settings.kafka.group_id,
            admin_port=self.admin.port,
            topics=[topic.topic for topic in self.settings.topics],
        )
        try:
            if not signals:
                return self._work()
            timeout_s = self.settings.delivery.drain_timeout_s
            loop_timeout_s = max(shutdown.HUNG_S, timeout_s + 2 * shutdown.DRAIN_GRACE_S)
            on_signal = shutdown.drain_on_signal(self.engine.stop, self._is_leaving, timeout_s)
            with on_signal, shutdown.watch_loop(lambda: self.engine.beat, loop_timeout_s):
                return self._work()
        finally:
            self.close(1)

    def close(self, dead_letters_s: float) -> None:
        """Close everything. Wait at most `dead_letters_s` for dead letters that are being published."""
        self.topics.stop()
        self.dead_letters.close(dead_letters_s)
        self.sender.close()
        self.admin.stop()
        self.completions.close()

    def _is_leaving(self) -> bool:
        return isinstance(self.engine.state, Leaving)

    def _work(self) -> int:
        consumer = KafkaConsumer(
            {"statistics.interval.ms": STATISTICS_MS, **self.settings.consumer_properties()},
            [topic.topic for topic in self.settings.topics],
            self.consumer_events.is_ignored,
            self.engine,
            self.consumer_events.callbacks(),
        )
        self.topics.start()
        tuning.tune_garbage_collector()
        try:
            self.engine.run(consumer)
        except Fatal as error:
            next_step = "the process ends with code 1; what is not committed is read again"
            log.error("kafka.fatal", error=str(error), next_step=next_step)
            return 1
        except Exception:
            next_step = (
                "the process ends with code 1; what is not committed is read again; please report this"
            )
            log.exception("bridge.crashed", next_step=next_step)
            return 1
        if self._error is not None:
            log.error("topics.wrong", error=str(self._error))
            return 2
        log.info("bridge.stopped", uptime_s=self._status.uptime_s)
        return 0
