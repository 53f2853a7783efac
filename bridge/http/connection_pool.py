"""The connections to one address: idle ones that are kept, and those that carry an exchange.

An exchange whose connection is open runs on the reactor's thread, which resumes it whenever its socket is
ready. Where something has to be waited for first (a name, a connection, TLS, a token) a thread of its own
carries that exchange, so that an address that does not respond holds up no other. (docs/adr/0011.)
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, Generic, TypeVar

import httpx

from bridge.http.connection import KEEP_ALIVE_S, HttpConnection, ProxySource
from bridge.http.non_blocking import NonBlocking
from bridge.http.reactor import Reactor
from bridge.http.tls import Tls

_T = TypeVar("_T")
Exchange = Callable[[HttpConnection, bool], NonBlocking[_T]]
"""Makes an exchange. True: it may block, and connects first; False: the connection is open."""


class ConnectionPool:
    """The reactor's thread calls it. Each exchange that is under way has a connection of its own."""

    def __init__(self, reactor: Reactor, name: str, url: str, *, tls: Tls, proxy: ProxySource) -> None:
        """`name` is for the threads. Raises ValueError for a URL that is not a proxy's, OSError or
        ssl.SSLError for unusable TLS files.
        """
        self.url = httpx.URL(url)
        self._reactor = reactor
        self._name = name
        self._tls = tls
        self._proxy = proxy
        self._idle: list[HttpConnection] = []
        """Open connections without an exchange, in the order of their last use. The reactor watches each."""
        self._running: set[_RunningExchange[Any]] = set()
        self._closed = False
        if self.url.scheme == "https":
            tls.context()
        HttpConnection(tls=tls, proxy=proxy).close()

    @property
    def host(self) -> str:
        """The value of the Host header."""
        return self.url.netloc.decode()

    def start(self, exchange: Exchange[_T], on_end: Callable[[_T], None], *, may_block: bool) -> None:
        """Begin an exchange; hand its result to `on_end`, on the reactor's thread.

        `may_block` says that it has to wait for something other than its socket first. It gets the
        connection that was used last, so that surplus ones stay idle and time out. A closed pool does
        nothing.
        """
        if self._closed:
            return
        connection = self._idle.pop() if self._idle else HttpConnection(tls=self._tls, proxy=self._proxy)
        fileno = connection.fileno()
        try:
            if not may_block and connection.is_open_to(self.url):
                self._run_here(connection, exchange(connection, False), on_end)
                return
            self._reactor.unwatch(fileno)
            thread = partial(self._run_in_thread, connection, exchange, on_end)
            Thread(target=thread, name=self._name, daemon=True).start()
        except BaseException:
            self._reactor.unwatch(fileno)
            connection.close()
            raise

    def close(self) -> None:
        """Close all connections.

        Exchanges on the reactor's thread end without a result; one that a thread carries may still have
        one.
        """
        self._closed = True
        for running in self._running:
            running.abandon()
        self._running.clear()
        while self._idle:
            self._close_idle(self._idle[-1])

    def _run_here(
        self, connection: HttpConnection, steps: NonBlocking[_T], on_end: Callable[[_T], None]
    ) -> None:
        """The exchange's own watch of the socket replaces the idle connection's."""
        ended = partial(self._ended_here, connection, on_end)
        running = _RunningExchange(self._reactor, connection.fileno(), steps, ended)
        self._running.add(running)
        running.resume(timed_out=False)

    def _ended_here(
        self,
        connection: HttpConnection,
        on_end: Callable[[_T], None],
        running: _RunningExchange[_T],
        result: _T,
    ) -> None:
        self._running.discard(running)
        if connection.fileno() < 0:
            self._reactor.unwatch(running.fileno)
        self._keep(connection)
        on_end(result)

    def _run_in_thread(
        self, connection: HttpConnection, exchange: Exchange[_T], on_end: Callable[[_T], None]
    ) -> None:
        result = connection.run_blocking(exchange(connection, True))
        self._reactor.call(partial(self._ended_in_thread, connection, on_end, result))

    def _ended_in_thread(self, connection: HttpConnection, on_end: Callable[[_T], None], result: _T) -> None:
        if self._closed:
            connection.close()
        self._keep(connection)
        on_end(result)

    def _keep(self, connection: HttpConnection) -> None:
        """Add a connection to the idle ones if it is open, until the peer closes it or would do so soon."""
        if (fileno := connection.fileno()) >= 0:
            self._idle.append(connection)
            deadline = time.monotonic() + KEEP_ALIVE_S
            self._reactor.watch(
                fileno, selectors.EVENT_READ, deadline, lambda _: self._close_idle(connection)
            )

    def _close_idle(self, connection: HttpConnection) -> None:
        self._reactor.unwatch(connection.fileno())
        connection.close()
        self._idle.remove(connection)


class _RunningExchange(Generic[_T]):
    """An exchange on the reactor's thread, from one wait for its socket to the next."""

    __slots__ = ("_on_end", "_reactor", "_steps", "fileno")

    def __init__(
        self,
        reactor: Reactor,
        fileno: int,
        steps: NonBlocking[_T],
        on_end: Callable[[_RunningExchange[_T], _T], None],
    ) -> None:
        self.fileno = fileno
        self._reactor, self._steps, self._on_end = reactor, steps, on_end

    def resume(self, timed_out: bool) -> None:
        """Go on to the next wait, or to the end."""
        try:
            if timed_out:
                event, deadline = self._steps.throw(TimeoutError("out of time"))
            else:
                event, deadline = next(self._steps)
        except StopIteration as end:
            self._on_end(self, end.value)
        else:
            self._reactor.watch(self.fileno, event, deadline, self.resume)

    def abandon(self) -> None:
        """End without a result."""
        self._reactor.unwatch(self.fileno)
        self._steps.close()
