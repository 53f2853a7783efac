"""Carries requests: one POST each, with a total deadline and a capped answer, and the answer goes back as a value.

A request whose connection is open and whose token is at hand goes out at once, and its answer is fetched while the completions are taken: all on the
pump's thread, without waiting for anything. Where something has to be waited for first (a name, a connection, TLS, a token) a thread of its own carries
that request, so that a dead inlet starves no other. (`docs/adr/0011`.)

Nothing is retried here, and nothing is raised: what came of a request, good or bad, is an `BatchResponse` in the completions.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Final

import httpx

from bridge import __version__
from bridge.codec.request import body
from bridge.http.connection import (
    DEFAULT_MAX_RESPONSE_BYTES,
    KEEP_ALIVE_S,
    HttpConnection,
    NonBlocking,
    ResponseTooLarge,
    SocketWait,
    Tls,
)
from bridge.http.oauth import TokenError, TokenSource
from bridge.http.reactor import Reactor
from bridge.model import BatchRequest, BatchResponse, Fault

OnCrash = Callable[[str, BaseException], None]
"""(inlet, what nobody expected)"""

_AUTHORIZATION_REFUSED: Final = (401, 403)
_MAX_ERROR: Final = 1000
_SECRET_NAME: Final = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)
_SECRET_LENGTH: Final = 12
"""A configured header's value from this length on may be a key, and is kept out of errors."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an inlet's requests go, and with what."""

    name: str
    url: str
    """Of the batch endpoint."""
    headers: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Configured ones, or what gives those of now: the same object as long as they are the same, printable ASCII.

    They win over our own, `Authorization` only where there is no token source."""
    token: TokenSource | None = None
    proxy: str | Callable[[], str | None] | None = field(default=None, repr=False)
    """A URL, "" for none, None for the environment's; or what gives that of now."""
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class HttpSender:
    """The real `Sender`. One thread calls it, and takes the completions."""

    def __init__(
        self,
        inlets: Mapping[str, Endpoint],
        completions: Reactor,
        *,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        on_crash: OnCrash | None = None,
    ) -> None:
        """Raises ValueError for a proxy that isn't one and for headers that can't be sent, OSError or ssl.SSLError for unusable TLS files."""
        self._crews = {
            name: _Crew(inlet, completions, max_response_bytes, on_crash) for name, inlet in inlets.items()
        }

    def send(self, ticket: object, post: BatchRequest) -> None:
        """Never blocks. As many requests as are sent at once have a connection each."""
        self._crews[post.inlet].send(ticket, post)

    def close(self) -> None:
        """Takes no more work and closes what is open; what is still out is not answered, but for what a thread carries, which may be."""
        for crew in self._crews.values():
            crew.close()


class _Crew:
    """One inlet's connections."""

    def __init__(
        self, inlet: Endpoint, completions: Reactor, max_response_bytes: int, on_crash: OnCrash | None
    ) -> None:
        self._inlet = inlet
        self._completions = completions
        self._max_answer_bytes = max_response_bytes
        self._on_crash = on_crash
        self._tls = Tls(inlet.ca_file, inlet.cert_file, inlet.key_file)
        if inlet.url.startswith("https:"):
            self._tls.context()
        HttpConnection(tls=self._tls, proxy=inlet.proxy).close()
        self._url = httpx.URL(inlet.url)
        self._reread = inlet.headers if callable(inlet.headers) else None
        self._head = _Head(
            inlet.headers() if callable(inlet.headers) else inlet.headers, self._url, inlet.name
        )
        self._idle: list[HttpConnection] = []
        """Without work, the latest last."""
        self._flights: set[_Flight] = set()
        self._closed = False

    def send(self, ticket: object, post: BatchRequest) -> None:
        """Over the connection that became idle last, which is warm; the others may end in peace."""
        if self._closed:
            return
        try:
            self._send(ticket, post)
        except Exception as error:
            self._completions.put(ticket, self._unexpected(error, self._head.secrets))

    def _send(self, ticket: object, post: BatchRequest) -> None:
        transport = self._idle.pop() if self._idle else HttpConnection(tls=self._tls, proxy=self._inlet.proxy)
        self._completions.forget(transport.fileno())
        token = self._inlet.token
        bearer = None if token is None else token.cached_bearer()
        if (token is None or bearer is not None) and transport.ready(self._url):
            flight = _Flight(
                transport.fileno(),
                self._completions,
                self._carry(transport, post, bearer),
                partial(self._landed, transport, ticket),
            )
            self._flights.add(flight)
            flight.go_on(late=False)
        else:
            Thread(
                target=self._carry_slowly,
                args=(transport, ticket, post),
                name=f"sender-{self._inlet.name}",
                daemon=True,
            ).start()

    def close(self) -> None:
        self._closed = True
        for flight in list(self._flights):
            flight.abandon()
        self._flights.clear()
        while self._idle:
            self._drop(self._idle[-1])

    def _carry_slowly(self, transport: HttpConnection, ticket: object, post: BatchRequest) -> None:
        """On a thread of its own."""
        answer = transport.wait_for(self._carry(transport, post, None, prepares=True))
        self._completions.call(partial(self._landed, transport, ticket, answer))

    def _landed(
        self, transport: HttpConnection, ticket: object, answer: BatchResponse, flight: _Flight | None = None
    ) -> None:
        if flight is not None:
            self._flights.discard(flight)
        if self._closed:
            transport.close()
        elif (fileno := transport.fileno()) >= 0:
            self._idle.append(transport)
            # Closed when the peer closes, and before it has been idle for so long that it would.
            self._completions.watch(
                fileno, select.POLLIN, time.monotonic() + KEEP_ALIVE_S, lambda _: self._drop(transport)
            )
        self._completions.put(ticket, answer)

    def _drop(self, transport: HttpConnection) -> None:
        """An idle connection ends."""
        self._completions.forget(transport.fileno())
        transport.close()
        self._idle.remove(transport)

    def _carry(
        self, transport: HttpConnection, post: BatchRequest, bearer: str | None, *, prepares: bool = False
    ) -> NonBlocking[BatchResponse]:
        """The answer to one post. Never raises. Where it `prepares`, it blocks until there are a token and a connection."""
        began, secrets = time.monotonic(), list(self._head.secrets)
        try:
            deadline = began + post.timeout_s
            head = self._head
            if self._reread is not None and (given := self._reread()) is not head.given:
                head = self._head = _Head(given, self._url, self._inlet.name)
                secrets += head.secrets
            fields = head.fields
            if prepares and self._inlet.token is not None:
                bearer = self._inlet.token.bearer(deadline)
            if bearer is not None:
                secrets.append(bearer)
                fields = head.bearing(bearer)
            if prepares:
                transport.prepare(self._url, deadline)
            status, heads, text = yield from transport.post(
                self._url, fields, post.size, partial(body, post.pieces), deadline, self._max_answer_bytes
            )
            answer = self._judge(status, heads, text, head, bearer)
        except TokenError as error:
            answer = BatchResponse(fault=Fault.CREDENTIALS, error=_clean(str(error), secrets))
        except ResponseTooLarge as error:
            answer = BatchResponse(fault=Fault.OVERSIZE, error=str(error))
        except httpx.TimeoutException as error:
            answer = BatchResponse(
                fault=Fault.TIMEOUT,
                error=_clean(f"{error} (after {time.monotonic() - began:.1f} s)", secrets),
            )
        except httpx.HTTPError as error:
            answer = BatchResponse(
                fault=Fault.CONNECTION, error=_clean(str(error) or type(error).__name__, secrets)
            )
        except Exception as error:
            transport.close()
            answer = self._unexpected(error, secrets)
        return answer

    def _unexpected(self, error: Exception, secrets: Iterable[str]) -> BatchResponse:
        if self._on_crash is not None:
            with suppress(Exception):
                self._on_crash(self._inlet.name, error)
        return BatchResponse(fault=Fault.CONNECTION, error=_clean(f"unexpected: {_describe(error)}", secrets))

    def _judge(
        self,
        status: int,
        fields: Iterable[tuple[bytes, bytes]],
        answer: bytes,
        head: _Head,
        bearer: str | None,
    ) -> BatchResponse:
        """The response as a value; tells the token source what became of its token."""
        was_good, token = False, self._inlet.token
        if token is not None and bearer is not None:
            if 200 <= status < 300:
                token.accepted(bearer)
            elif status in _AUTHORIZATION_REFUSED:
                was_good = token.refused(bearer)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in fields}
        # The answer's texts go into logs and dead letters: one that repeats our headers must not carry the token there.
        for secret in [*head.keys, *([bearer.encode()] if bearer else [])]:
            if secret in answer:
                answer = answer.replace(secret, b"***")
        return BatchResponse(status=status, headers=headers, body=answer, token_was_good=was_good)


class _Flight:
    """A request on its way, which goes on whenever its connection lets it."""

    __slots__ = ("_completions", "_fileno", "_landed", "_steps")

    def __init__(
        self,
        fileno: int,
        completions: Reactor,
        steps: NonBlocking[BatchResponse],
        landed: Callable[[BatchResponse, _Flight], None],
    ) -> None:
        self._fileno, self._completions, self._steps, self._landed = fileno, completions, steps, landed

    def go_on(self, late: bool) -> None:
        """As far as it gets."""
        try:
            need: SocketWait = self._steps.throw(TimeoutError("out of time")) if late else next(self._steps)
        except StopIteration as end:
            self._completions.forget(self._fileno)
            self._landed(end.value, self)
        else:
            self._completions.watch(self._fileno, *need, self.go_on)

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._completions.forget(self._fileno)
        self._steps.close()


class _Head:
    """What goes before a request's body, made once of the headers that are configured, and what of it must be shown to nobody."""

    def __init__(self, given: Mapping[str, str], url: httpx.URL, inlet: str) -> None:
        """Raises ValueError for what no header can have."""
        for name, value in given.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                msg = f"the header {name!r} of inlet {inlet!r} holds something other than printable ASCII"
                raise ValueError(msg)
        ours = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"aep-bridge/{__version__}",
        }
        headers = {
            "Host": url.netloc.decode(),
            **ours,
            **{name.title(): value for name, value in given.items()},
        }
        self.given = given
        self.fields = [
            (name.encode(), value.encode())
            for name, value in headers.items()
            if name not in ("Content-Length", "Transfer-Encoding")
        ]
        self._anonymous = [field for field in self.fields if field[0] != b"Authorization"]
        self.secrets = [
            part
            for value in given.values()
            for part in (value, *value.split())
            if len(part) >= _SECRET_LENGTH
        ]
        self.keys = [
            part.encode()
            for name, value in given.items()
            if _SECRET_NAME.search(name)
            for part in value.split()
            if len(part) >= _SECRET_LENGTH
        ]
        self._bearing: tuple[str, list[tuple[bytes, bytes]]] = "", self.fields
        """The last bearer token, and the fields with it."""

    def bearing(self, bearer: str) -> list[tuple[bytes, bytes]]:
        """The fields with this token: the same object as long as it is the same token."""
        known, fields = self._bearing
        if known != bearer:
            fields = [*self._anonymous, (b"Authorization", f"Bearer {bearer}".encode("ascii"))]
            self._bearing = bearer, fields
        return fields


def _describe(error: BaseException) -> str:
    """The exception's repr; of one that carries the text it choked on, only its name."""
    return type(error).__name__ if isinstance(error, UnicodeError) else repr(error)


def _clean(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, and not longer than a log line should be."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text[:_MAX_ERROR]


__all__ = ["Endpoint", "HttpSender", "OnCrash"]
