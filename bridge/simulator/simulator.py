"""The simulator as tests use it: it listens in a thread of its own, or as a process."""

from __future__ import annotations

import asyncio
import signal
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from bridge.simulator.accounting import Accounting, RequestSummary
from bridge.simulator.config import Config
from bridge.simulator.connection import Connection
from bridge.simulator.fault_rules import Rule
from bridge.simulator.faults import Faults
from bridge.simulator.messages import entity_bytes
from bridge.simulator.routing import Router
from bridge.simulator.state import SimulatorState
from bridge.simulator.tokens import TokenEndpoint


class Simulator:
    """A local AEP. `with Simulator() as sim:` listens before the block starts, and is gone after it.

    `stop` and `start` may alternate: the port and the accounting stay, so an outage is a stop. Every method
    is safe to call from any thread.
    """

    def __init__(self, config: Config | None = None, accounting: Accounting | None = None) -> None:
        self._state = SimulatorState(config or Config(), accounting or Accounting())
        self._router = Router(self._state)
        self.port = self.config.port
        """The port in use. With 0 in the configuration it is known once the simulator has started."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked: asyncio.Event | None = None
        self._failure: BaseException | None = None

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
        """The address for batches to the first inlet."""
        return f"{self.url}/collection/batch/{self.inlet}"

    @property
    def token_url(self) -> str:
        """The token endpoint's address."""
        return f"{self.url}/ims/token/v3"

    # Switches.

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._state.config

    @property
    def faults(self) -> Faults:
        """The armed fault rules."""
        return self._state.faults

    @property
    def tokens(self) -> TokenEndpoint:
        """The token endpoint."""
        return self._state.tokens

    def fault(self, rule: Rule) -> int:
        """Arm a fault rule and return its number."""
        return self.faults.add(rule)

    def configure(self, changes: Mapping[str, Any]) -> Config:
        """Replace some keys of the configuration while running. Raises `ValueError` for an unknown key."""
        return self._state.configure(changes)

    def reset(self) -> None:
        """Forget what was accepted and received, clear the faults, and restart rate limits and random
        choices.

        Tokens and configuration stay.
        """
        self._state.reset()

    # The truth.

    @property
    def accounting(self) -> Accounting:
        """Everything that was recorded; the properties below are its most used parts."""
        return self._state.accounting

    @property
    def accepted(self) -> Counter[str]:
        """Event id → how often it was accepted."""
        return self.accounting.accepted

    @property
    def duplicates(self) -> Counter[str]:
        """Event id → how often it was accepted, for events that were accepted more than once."""
        return self.accounting.duplicates

    @property
    def refused(self) -> Counter[tuple[str, int]]:
        """(event id, status) → how often that message was refused by itself."""
        return self.accounting.refused

    @property
    def requests(self) -> list[RequestSummary]:
        """The last 10,000 requests."""
        return self.accounting.requests

    @property
    def stats(self) -> dict[str, Any]:
        """Everything that is a number."""
        return self.accounting.stats()

    def message(self, event_id: str) -> bytes | None:
        """Return an accepted message as it was sent. Needs `keep_bytes`."""
        return self.accounting.message(event_id)

    def entity(self, event_id: str) -> bytes | None:
        """Return the entity inside an accepted message, byte for byte. Needs `keep_bytes`."""
        message = self.accounting.message(event_id)
        return None if message is None else entity_bytes(message)

    # Running.

    def start(self) -> None:
        """Listen in a thread of its own, and return once it does. Raises what binding the port raises."""
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
        """Close every connection and end the thread. The next start takes the same port."""
        if self._thread is None:
            return
        self.ask_to_stop()
        self._thread.join()
        self._thread = self._loop = self._stop_asked = None

    def ask_to_stop(self) -> None:
        """Let `serve` end, without waiting for it."""
        if self._loop is not None and self._stop_asked is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop_asked.set)

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
        """Listen until `ask_to_stop`; call `listening` once it listens."""
        self._loop, self._stop_asked = asyncio.get_running_loop(), asyncio.Event()
        open_connections: set[Connection] = set()
        server = await self._loop.create_server(
            lambda: Connection(self._router, self._state, open_connections),
            self.config.host,
            self.port,
            ssl=_tls_context(self.config),
            backlog=1024,
        )
        self.port = server.sockets[0].getsockname()[1]
        listening()
        try:
            await self._stop_asked.wait()
        finally:
            server.close()
            for connection in list(open_connections):
                connection.abort()
            await asyncio.sleep(0)


def run(config: Config, listening: Callable[[Simulator], None]) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; call `listening` once the simulator listens."""
    sim = Simulator(config)

    def ready() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, sim.ask_to_stop)
        listening(sim)

    asyncio.run(sim.serve(ready))


def _tls_context(config: Config) -> ssl.SSLContext | None:
    if config.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config.tls_cert, config.tls_key)
    if config.tls_client_ca is not None:
        context.load_verify_locations(config.tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
