"""The whole bridge, put together out of its settings: what `aep-bridge run` runs, and `aep-bridge demo` too."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import structlog

from bridge import __version__
from bridge.aep.sender import Endpoint, HttpSender
from bridge.app.last_dead_letters import LastDeadLetters
from bridge.codec.envelope import entity_wrapper
from bridge.codec.routes import Route, routes_by_topic
from bridge.config.memory_ceiling import ceiling
from bridge.config.reloading import FileValue
from bridge.config.secret_files import read_secret
from bridge.config.settings import Settings
from bridge.config.settings_aep import AepSettings
from bridge.config.settings_topics import TopicSettings
from bridge.engine import events, inlet
from bridge.engine import loop as pump
from bridge.engine.events import Observer
from bridge.engine.snapshot import lag
from bridge.http.connection import http_client
from bridge.http.oauth import TokenSource
from bridge.http.proxy import Proxy
from bridge.http.reactor import Reactor
from bridge.http.tls import Tls
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.kafka.statistics import parse_statistics
from bridge.kafka.topic_monitor import TopicMonitor
from bridge.kafka.topics import TopicAdmin, TopicError
from bridge.model import TopicPartition
from bridge.ops import tuning
from bridge.ops.admin import Admin, View
from bridge.ops.process_memory import memory_used
from bridge.ops.shutdown import watched
from bridge.ops.status_page import routed
from bridge.ops.telemetry import Telemetry
from bridge.ports import Fatal

log = structlog.get_logger("bridge")

STALLED_S = 60.0
"""The loop counts as dead when it has not turned for so long. It turns while it drains, and while a revoke waits for requests."""
HUNG_S = 120.0
"""When it has not turned for so long, the process ends, whether anybody asks `/livez` or not."""
WATCHDOG_S = 15.0
"""What a drain may take beyond its deadline before the process is ended with all its stacks printed."""
STATISTICS_MS = 2000
"""How often the client tells of itself, which the lag is told from; unless `kafka.properties` says otherwise."""
T = TypeVar("T")


class _TopicPreparation(Observer):
    """Has the dead-letter topics of newly assigned partitions looked at, and created where they are missing."""

    def __init__(self, topics: TopicMonitor) -> None:
        self._topics = topics

    def partitions_assigned(self, event: events.PartitionsAssigned) -> None:
        self._topics.request_checks(partition.topic for partition in event.partitions)


class Service:
    """Everything one process needs. Build it, `run` it once."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        """Raises OSError, ValueError or ssl.SSLError for TLS files, proxies and an admin port that can't be used, KafkaException for properties."""
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self.started = time.monotonic()
        self._completions = Reactor()
        self.last_dead_letters = LastDeadLetters()
        self._error: Exception | None = None
        names: dict[object, str] = {}
        self.routes = routes = [self._route(topic, names) for topic in settings.topics]
        inlets = {
            name: settings.inlet_for(topic)
            for topic, name in (
                (topic, route.inlet) for topic, route in zip(settings.topics, routes, strict=True)
            )
        }
        inheriting = {
            route.inlet
            for topic, route in zip(settings.topics, routes, strict=True)
            if topic.aep is None or "max_messages_per_s" not in topic.aep.model_fields_set
        }
        self._proxies = {name: self._proxy(name, aep) for name, aep in inlets.items()}
        self.tokens = {
            name: source
            for name, aep in inlets.items()
            if (source := self._token_source(name, aep)) is not None
        }
        self.sender = HttpSender(
            {name: self._endpoint(name, aep) for name, aep in inlets.items()},
            self._completions,
            on_crash=self._crashed,
        )
        self._no_topic = False
        """Whether all of the mapping are regexes and brokers have no topic that matches: there is no group to join yet."""
        self.topics = TopicMonitor(
            settings,
            lambda: TopicAdmin(settings.admin_properties()),
            self._ours,
            self._counted,
            self._topic_wrong,
        )
        self.dead_letters = KafkaDeadLetterProducer(
            settings.producer_properties(),
            self._completions,
            lambda error: self.telemetry.kafka_error(error.str()),
            blocking_reason=self.topics.blocking_reason,
            on_missing_topic=self.topics.request_recheck,
        )
        delivery, batch = settings.delivery, settings.batch
        self.pump = pump.Engine(
            route_of=routes_by_topic(routes),
            inlets={
                name: inlet.Inlet(name, aep.inlet_id, self._policy(aep, shares_rate=name in inheriting))
                for name, aep in inlets.items()
            },
            sender=self.sender,
            dead_letters=self.dead_letters,
            completions=self._completions,
            clock=time.monotonic,
            settings=pump.EngineSettings(
                max_messages=batch.max_messages,
                linger_s=batch.linger_ms / 1000,
                max_uncommitted_records=delivery.max_uncommitted_records,
                revoke_timeout_s=delivery.revoke_timeout_s,
                drain_timeout_s=delivery.drain_timeout_s,
                ordered=delivery.ordering == "partition",
                name=secrets.token_hex(4),
            ),
            observers=[
                *self.telemetry.observers,
                self.last_dead_letters,
                _TopicPreparation(self.topics),
                *observers,
            ],
        )
        self.telemetry.watch(lambda: self.pump.status, lambda: self.topics.end_offsets, self._token_ages)
        self.telemetry.metrics.start_at_zero(topic.topic for topic in settings.topics if not topic.is_regex)
        self.admin = Admin(self._view(), settings.admin.host, settings.admin.port)

    # -- parts --------------------------------------------------------------------

    def _route(self, topic: TopicSettings, names: dict[object, str]) -> Route:
        aep = self.settings.inlet_for(topic)
        name = names.setdefault(
            aep.identity, aep.inlet_id[:12] if len(names) == 0 else f"{aep.inlet_id[:12]}-{len(names) + 1}"
        )
        wrapper = (b"", b"")
        if topic.format == "entity":
            wrapper = entity_wrapper(
                schema_id=topic.schema_id or "",
                schema_version=topic.schema_version,
                ims_org_id=aep.ims_org_id or "",
                dataset_id=topic.dataset_id or "",
            )
        tombstones = self.settings.dead_letter.tombstones == "dead_letter"
        return Route(
            topic.topic,
            topic.format,
            name,
            topic.dataset_id,
            wrapper,
            tombstones,
            topic.dead_letter_topic_for,
        )

    def _policy(self, aep: AepSettings, *, shares_rate: bool) -> inlet.Policy:
        delivery = self.settings.delivery
        return inlet.Policy(
            max_bytes=self.settings.batch.max_bytes,
            max_in_flight=delivery.max_in_flight,
            window_bytes=delivery.window_bytes,
            request_timeout_s=delivery.request_timeout_s,
            retry_after_max_s=delivery.retry_after_max_s,
            backoff_max_s=delivery.backoff_max_s,
            flood_guard=self.settings.dead_letter.flood_guard,
            max_messages_per_s=aep.max_messages_per_s,
            shares_rate=shares_rate,
            ordered=delivery.ordering == "partition",
        )

    def _endpoint(self, name: str, aep: AepSettings) -> Endpoint:
        return Endpoint(
            name=name,
            url=aep.batch_url,
            headers=self._reread(name, "headers", aep.header_files, aep.header_values)
            if aep.header_files
            else aep.header_values(),
            token=self.tokens.get(name),
            proxy=self._proxies[name],
            ca_file=_text(aep.ca_file),
            cert_file=_text(aep.client_cert_file),
            key_file=_text(aep.client_key_file),
        )

    def _proxy(self, name: str, aep: AepSettings) -> str | Callable[[], str | None] | None:
        def read() -> str | None:
            if given := aep.proxy():
                Proxy.parse(given)
            return given

        return (
            aep.proxy()
            if aep.proxy_url_file is None
            else self._reread(name, "proxy_url", [aep.proxy_url_file], read)
        )

    def _reread(self, inlet: str, what: str, files: Sequence[Path], read: Callable[[], T]) -> FileValue[T]:
        return FileValue(
            files,
            read,
            lambda: log.info("file.read_anew", inlet=inlet, what=what),
            lambda error: log.error(
                "file.unusable",
                inlet=inlet,
                what=what,
                error=error,
                what_follows="what was read before is used; it is tried again",
            ),
        )

    def _token_source(self, name: str, aep: AepSettings) -> TokenSource | None:
        auth = aep.auth
        if auth is None:
            return None
        tls = Tls(_text(aep.ca_file), _text(aep.client_cert_file), _text(aep.client_key_file))
        return TokenSource(
            url=auth.token_url,
            client_id=auth.client_id,
            secret=auth.secret,
            scope=auth.scope,
            client=http_client(tls=tls, proxy=self._proxies[name]),
            refresh_ahead_s=auth.refresh_ahead_s,
            on_failure=lambda error: self.telemetry.token_refresh_failed(name, error),
        )

    def _view(self) -> View:
        token_file = self.settings.admin.token_file
        return View(
            registry=self.telemetry.registry,
            alive=self.alive,
            ready=self.ready,
            status=self.status,
            token=None if token_file is None else lambda: read_secret(token_file),
            skip=self.skip,
        )

    # -- what the admin port tells ----------------------------------------------------

    def alive(self) -> str | None:
        """What is wrong with the loop, or None."""
        still = time.monotonic() - self.pump.beat
        return f"the loop has not turned for {still:.0f} s" if still > STALLED_S else None

    def ready(self) -> str | None:
        """Why this process is not ready, or None. An AEP outage is no reason."""
        if self.pump.draining:
            return "draining"
        return None if self.pump.joined or self._no_topic else "the consumer group has not been joined yet"

    def status(self) -> dict[str, Any]:
        """The pump's snapshot, with the ends of the partitions, tokens, memory, the last dead letters and the configuration, secrets masked."""
        seen = dict(self.pump.status)
        partitions, ends = [], self.topics.end_offsets
        for entry in seen.get("partitions", []):
            end = ends.get(TopicPartition(entry["topic"], entry["partition"]))
            partitions.append({**entry, "end": end, "lag": lag(entry, end)})
        limit, _ = ceiling(self.settings)
        now, peak = memory_used()
        routes, partitions = routed(self.routes, partitions)
        return {
            **seen,
            "routes": routes,
            "partitions": partitions,
            "version": __version__,
            "uptime_s": round(time.monotonic() - self.started, 1),
            "ready": self.ready() is None,
            "group_id": self.settings.kafka.group_id,
            "memory": {"now_bytes": now, "peak_bytes": peak, "ceiling_bytes": limit},
            "tokens": {
                name: {
                    "age_s": source.age_s,
                    "expires_in_s": source.expires_in_s,
                    "error": source.last_error or None,
                }
                for name, source in self.tokens.items()
            },
            "dead_letters": self.last_dead_letters.entries,
            "commit_age_s": round(self.telemetry.commit_age(), 3),
            "configuration": self.settings.masked(),
        }

    def skip(self, topic: str, partition: int, offset: int, who: str, why: str) -> Future[str]:
        """Orders a record to its dead-letter topic. Any thread."""
        order = pump.Skip(TopicPartition(topic, partition), offset, who, why)
        log.warning("skip.ordered", topic=topic, partition=partition, offset=offset, who=who, why=why)
        self._completions.put(order, None)
        return order.done

    def _token_ages(self) -> dict[str, float]:
        return {name: age for name, source in self.tokens.items() if (age := source.age_s) is not None}

    # -- the client's news ----------------------------------------------------------------

    def _ours(self) -> list[TopicPartition]:
        return [
            TopicPartition(entry["topic"], entry["partition"])
            for entry in self.pump.status.get("partitions", [])
        ]

    def leaves_out(self, topic: str) -> bool:
        """Whether a topic's partitions are not read, although the group gives them to us: dead letters, and what no entry of the mapping matches.

        The client finds topics by its own reading of a regex. One that it alone finds must not end the process: it would come back after every restart.
        """
        return self.settings.is_dead_letter_topic(topic) or self.settings.entry_for(topic) is None

    def _left_out(self, found: Sequence[TopicPartition]) -> None:
        topics = {each.topic for each in found}
        unmatched = {topic for topic in topics if not self.settings.is_dead_letter_topic(topic)}
        if letters := topics - unmatched:
            log.info(
                "dead_letter.partitions_ignored",
                topics=sorted(letters),
                partitions=sum(each.topic in letters for each in found),
            )
        if unmatched:
            log.error(
                "topics.unmatched",
                topics=sorted(unmatched),
                partitions=sum(each.topic in unmatched for each in found),
                error="Kafka's client takes them for topics of the mapping, and no entry of it matches them",
                what_follows="they are not read; write the regex that means them in a simpler way, or name them",
            )

    def _counted(self, counts: Mapping[str, int]) -> None:
        self.pump.partitions_of = counts
        self._no_topic = not counts and all(topic.is_regex for topic in self.settings.topics)

    def _topic_wrong(self, error: TopicError) -> None:
        self._error = error
        self.pump.stop()

    def _source_events(self) -> ConsumerCallbacks:
        telemetry = self.telemetry

        def on_statistics(text: str) -> None:
            statistics = parse_statistics(text)
            if statistics is None:
                return
            self.topics.update_fetched_ends(statistics.end_offsets)
            if statistics.group_is_steady:
                self.pump.joined = True

        return ConsumerCallbacks(
            on_commit=lambda error, done: telemetry.committed(None if error is None else error.str(), done),
            on_error=lambda error: telemetry.kafka_error(error.str()),
            on_statistics=on_statistics,
            on_offset_reset=lambda where, asked, at: telemetry.possible_loss(
                where.topic, f"{where}: offset {asked} is gone, reading goes on at {at}"
            ),
            on_partitions_ignored=self._left_out,
            on_store_refused=telemetry.refused,
            on_headers_renamed=telemetry.unreadable_headers,
            on_callback_failure=lambda name, error: log.error(
                "callback.failed", callback=name, error=repr(error)
            ),
        )

    def _crashed(self, name: str, error: BaseException) -> None:
        log.error("request.crashed", inlet=name, error=repr(error))

    # -- the life of the process --------------------------------------------------------------

    def run(self, *, signals: bool = True) -> int:
        """Until a SIGTERM (or `pump.stop`), then drains. Returns the exit code."""
        size, text = ceiling(self.settings)
        self.telemetry.memory_ceiling(size, text)
        for warning in self.settings.warnings:
            log.warning("configuration.warning", text=warning)
        self.admin.start()
        topics = [topic.topic for topic in self.settings.topics]
        log.info(
            "bridge.started",
            version=__version__,
            group=self.settings.kafka.group_id,
            admin_port=self.admin.port,
            topics=topics,
        )
        try:
            if not signals:
                return self._work()
            hung_s = max(HUNG_S, self.settings.delivery.drain_timeout_s + 2 * WATCHDOG_S)
            with self._signals(), watched(lambda: self.pump.beat, hung_s):
                return self._work()
        finally:
            self.topics.stop()
            self.dead_letters.close(1)
            self.sender.close()
            self.admin.stop()
            self._completions.close()

    def _work(self) -> int:
        properties = {"statistics.interval.ms": STATISTICS_MS, **self.settings.consumer_properties()}
        source = KafkaConsumer(
            properties,
            [topic.topic for topic in self.settings.topics],
            self.leaves_out,
            self.pump,
            self._source_events(),
        )
        self.topics.start()
        tuning.collector()
        try:
            self.pump.run(source)
        except Fatal as error:
            log.error(
                "kafka.fatal",
                error=str(error),
                what_follows="the process ends; what is not committed is read again",
            )
            return 1
        except Exception:
            log.exception(
                "bridge.crashed",
                what_follows="the process ends; what is not committed is read again; please report this",
            )
            return 1
        if self._error is not None:
            log.error("topics.wrong", error=str(self._error))
            return 2
        log.info("bridge.stopped", uptime_s=round(time.monotonic() - self.started, 1))
        return 0

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGTERM or SIGINT drains, under a watchdog; the second one ends the process at once."""

        def first(_number: int, _frame: object) -> None:
            for which in (signal.SIGTERM, signal.SIGINT):
                signal.signal(which, second)
            self.pump.stop()
            threading.Thread(target=self._watchdog, name="watchdog", daemon=True).start()

        def second(number: int, _: object) -> None:
            os._exit(128 + number)

        before = {which: signal.signal(which, first) for which in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)

    def _watchdog(self) -> None:
        time.sleep(self.settings.delivery.drain_timeout_s + WATCHDOG_S)
        if (
            self.pump.leaving
        ):  # brokers that are away are no fault of this process, and it has nothing left to do
            log.warning(
                "drain.brokers_silent",
                waited_s=self.settings.delivery.drain_timeout_s + WATCHDOG_S,
                what_follows="the process ends; the group notices after session.timeout.ms, and what is not committed is read again",
            )
            sys.stdout.flush()
            os._exit(0)
        sys.stderr.write("aep-bridge: the drain hangs; all stacks follow\n")
        faulthandler.dump_traceback(all_threads=True)
        os._exit(70)


def _text(path: object) -> str | None:
    return None if path is None else str(path)
