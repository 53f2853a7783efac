"""The simulator itself: it listens, routes requests to their room, and runs in a thread of its own or as a process."""

from __future__ import annotations

import asyncio
import random
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from bridge.simulator import admin
from bridge.simulator.accounting import Accounting, Seen
from bridge.simulator.collection import Collection
from bridge.simulator.config import Config, changed
from bridge.simulator.faults import Faults, Rule
from bridge.simulator.http import Manner, Reply, Request, json_reply
from bridge.simulator.ims import Tokens
from bridge.simulator.messages import entity_bytes
from bridge.simulator.mischief import spoil
from bridge.simulator.server import Connection, Watch


class Simulator:
    """A local AEP. `with Simulator() as sim:` listens before the block starts, and is gone after it.

    `stop` and `start` may alternate: the port and the accounting stay, so an outage is a stop. Every method is safe to call from any thread.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.accounting = Accounting()
        self.faults = Faults()
        self.tokens = Tokens(self.accounting)
        self.port = self.config.port
        """The port in use; with 0 in the configuration it is known once started."""
        self._build()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def _build(self) -> None:
        self._collection = Collection(lambda: self.config, self.accounting, self.faults, self.tokens)
        self._random = random.Random(self.config.seed)

    # Addresses.

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.config.tls_cert else 'http'}://{self.config.host}:{self.port}"

    @property
    def inlet(self) -> str:
        """The first inlet's id."""
        return next(iter(self.config.inlets))

    @property
    def inlet_url(self) -> str:
        """The first inlet's address, as Adobe's UI shows it."""
        return f"{self.url}/collection/{self.inlet}"

    @property
    def batch_url(self) -> str:
        """Where batches for the first inlet go."""
        return f"{self.url}/collection/batch/{self.inlet}"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.url}/ims/token/v3"

    # Switches.

    def fault(self, rule: Rule) -> int:
        """Arms a fault rule; returns its number."""
        return self.faults.add(rule)

    def configure(self, changes: Mapping[str, Any]) -> Config:
        """Replaces some keys of the configuration, while running. Raises `ValueError` for what it does not know."""
        self.config = changed(self.config, dict(changes))
        return self.config

    def reset(self) -> None:
        """Forgets what was accepted and seen, clears the faults, starts the draws and rate limits anew. Tokens and configuration stay."""
        self.accounting.clear()
        self.faults.clear()
        self._build()

    # The truth.

    @property
    def accepted(self) -> Counter[str]:
        """Event id → how often it was accepted."""
        return self.accounting.accepted

    @property
    def duplicates(self) -> Counter[str]:
        """Event id → how often it was accepted, for those accepted more than once."""
        return self.accounting.duplicates

    @property
    def refused(self) -> Counter[tuple[str, int]]:
        """(event id, status) → how often that message was refused by itself."""
        return self.accounting.refused

    @property
    def requests(self) -> list[Seen]:
        """The last requests, in short."""
        return self.accounting.requests

    @property
    def stats(self) -> dict[str, Any]:
        """Everything that is a number."""
        return self.accounting.stats()

    def message(self, event_id: str) -> bytes | None:
        """An accepted message as it was sent, with `keep_bytes`."""
        return self.accounting.message(event_id)

    def entity(self, event_id: str) -> bytes | None:
        """The entity inside an accepted message, byte for byte, with `keep_bytes`."""
        message = self.accounting.message(event_id)
        return None if message is None else entity_bytes(message)

    # Running.

    def start(self) -> None:
        """Listens in a thread of its own; returns when it does. Raises what binding raises."""
        if self._thread is not None:
            return
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="aep-simulator", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self.stop()
            raise self._failure

    def stop(self) -> None:
        """Ends every connection and the thread. The port is kept for the next start."""
        if self._thread is None:
            return
        self.end()
        self._thread.join()
        self._thread = self._loop = self._stopping = None

    def end(self) -> None:
        """Asks the server to stop, and does not wait."""
        if self._loop is not None and self._stopping is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self.serve(ready.set))
        except BaseException as error:
            self._failure = error
        finally:
            ready.set()

    async def serve(self, listening: Callable[[], None]) -> None:
        """Listens until it is told to stop; calls `listening` once it does."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        watch = Watch(
            self._handle,
            self._early,
            lambda: self.config,
            self.accounting.begun,
            lambda delivered: self.accounting.ended(delivered=delivered),
        )
        server = await self._loop.create_server(
            lambda: Connection(watch), self.config.host, self.port, ssl=_tls(self.config), backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        listening()
        try:
            await self._stopping.wait()
        finally:
            server.close()
            for connection in list(watch.open):
                connection.abort()
            await asyncio.sleep(0)

    # Routing.

    def _handle(self, request: Request) -> Reply:
        if request.path.startswith("/__admin/"):
            return admin.reply(request, self)
        parts = [part for part in request.path.split("/") if part]
        ingest = parts[:1] == ["collection"]
        reply = self._routed(request, parts)
        if self.config.latency_ms or self.config.jitter_ms:
            wait_ms = self.config.latency_ms + self._random.random() * self.config.jitter_ms
            reply = replace(reply, delay_s=reply.delay_s + wait_ms / 1000)
        self._saw(request, reply, ingest=ingest)
        return reply

    def _early(self, request: Request) -> Reply | None:
        parts = [part for part in request.path.split("/") if part]
        reply = (
            self._collection.early(request, parts[-1])
            if request.method == "POST" and parts[:1] == ["collection"]
            else None
        )
        if reply is not None:
            self._saw(request, reply, ingest=True)
        return reply

    def _saw(self, request: Request, reply: Reply, *, ingest: bool) -> None:
        outcome = str(reply.status) if reply.manner is Manner.PLAIN else reply.manner.value
        seen = Seen(time.time(), request.path, outcome, request.size, reply.messages, reply.rule)
        self.accounting.saw(seen, request.headers, ingest=ingest)

    def _routed(self, request: Request, parts: list[str]) -> Reply:
        match parts:
            case ["collection", "batch", inlet] if request.method == "POST":
                return self._collection.reply(request, inlet, batch=True)
            case ["collection", inlet] if request.method == "POST":
                return self._collection.reply(request, inlet, batch=False)
            case ["ims", "token", "v3"] if request.method == "POST":
                return self._token(request)
            case ["collection", *_] | ["ims", "token", "v3"]:
                return json_reply(405, {"error": "only POST"})
            case _:
                return json_reply(404, {"error": "no such address"})

    def _token(self, request: Request) -> Reply:
        chosen = self.faults.choose("token", None, request)

        def usual() -> Reply:
            return self.tokens.reply(request, self.config)

        reply = (
            usual()
            if chosen.answer is None
            else spoil(chosen.answer, "token", usual, self.config.clock_skew_s)
        )
        return replace(reply, delay_s=reply.delay_s + chosen.delay_s)


def run(config: Config, listening: Callable[[Simulator], None]) -> None:
    """Serves in the foreground until SIGINT or SIGTERM; calls `listening` with the simulator once it does."""
    sim = Simulator(config)

    def ready() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, sim.end)
        listening(sim)

    asyncio.run(sim.serve(ready))


def _tls(config: Config) -> ssl.SSLContext | None:
    if config.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config.tls_cert, config.tls_key)
    if config.tls_client_ca is not None:
        context.load_verify_locations(config.tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
