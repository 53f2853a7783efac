"""Worker threads that carry requests: one POST each, with a total deadline and a capped answer, and the answer goes back as a value.

Every inlet has its own workers, started when there is work for them, so a dead inlet starves no other; every worker has its own connection.
Nothing is retried here, and nothing is raised: what came of a request, good or bad, is an `Answer` in the completions.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final

import httpx

from bridge import __version__
from bridge.auth import TokenError, TokenSource
from bridge.model import Answer, Fault, Post
from bridge.payload import body
from bridge.ports import Completions
from bridge.transport import DEFAULT_MAX_ANSWER_BYTES, KEPT_S, AnswerTooLarge, LeanTransport, Tls

OnRequest = Callable[[str, str, float, int], None]
"""(inlet, status or fault, seconds, bytes of the request's body)"""
OnCrash = Callable[[str, BaseException], None]
"""(inlet, what nobody expected)"""

_Job = tuple[object, Post]
"""A ticket, and what to carry."""

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
    max_in_flight: int = 8


class HttpSender:
    """The real `Sender`. `send` and `close` are called by one thread; the hooks are called by the workers."""

    def __init__(
        self,
        inlets: Mapping[str, Endpoint],
        completions: Completions,
        *,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
        on_request: OnRequest | None = None,
        on_crash: OnCrash | None = None,
    ) -> None:
        """Raises ValueError for a proxy that isn't one and for headers that can't be sent, OSError or ssl.SSLError for unusable TLS files."""
        self._crews = {name: _Crew(inlet, completions, max_answer_bytes, on_request, on_crash) for name, inlet in inlets.items()}

    def send(self, ticket: object, post: Post) -> None:
        """Never blocks. What exceeds the inlet's `max_in_flight` waits for a worker; its time-out starts when it leaves."""
        self._crews[post.inlet].send(ticket, post)

    def close(self) -> None:
        """Takes no more work and lets the workers go; answers to what is still out may or may not come."""
        for crew in self._crews.values():
            crew.close()


class _Crew:
    """One inlet's workers."""

    def __init__(self, inlet: Endpoint, completions: Completions, max_answer_bytes: int, on_request: OnRequest | None, on_crash: OnCrash | None) -> None:
        self._inlet = inlet
        self._completions = completions
        self._max_answer_bytes = max_answer_bytes
        self._on_request = on_request
        self._on_crash = on_crash
        self._tls = Tls(inlet.ca_file, inlet.cert_file, inlet.key_file)
        if inlet.url.startswith("https:"):
            self._tls.context()
        LeanTransport(tls=self._tls, proxy=inlet.proxy).close()
        self._url = httpx.URL(inlet.url)
        self._reread = inlet.headers if callable(inlet.headers) else None
        self._head = _Head(inlet.headers() if callable(inlet.headers) else inlet.headers, self._url, inlet.name)
        self._lock = Lock()
        self._waiting: deque[_Job] = deque()
        """What no worker has yet."""
        self._idle: list[SimpleQueue[_Job | None]] = []
        """The hands of workers without work, the latest last."""
        self._workers = 0
        self._closed = False

    def send(self, ticket: object, post: Post) -> None:
        """To the worker that became idle last, whose connection and memory are warm; the others' connections may end in peace."""
        job = ticket, post
        with self._lock:
            if self._closed:
                return
            if self._idle:
                self._idle.pop().put(job)
            elif self._workers < self._inlet.max_in_flight:
                self._workers += 1
                hand: SimpleQueue[_Job | None] = SimpleQueue()
                hand.put(job)  # not given to the thread itself: a Thread keeps its arguments as long as it lives
                Thread(target=self._run, args=(hand,), name=f"sender-{self._inlet.name}-{self._workers}", daemon=True).start()
            else:
                self._waiting.append(job)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for hand in self._idle:
                hand.put(None)

    def _run(self, hand: SimpleQueue[_Job | None]) -> None:
        """One worker, whose work comes from its hand. It closes its connection when idle, so that the far side need not."""
        transport = LeanTransport(tls=self._tls, proxy=self._inlet.proxy)
        job = hand.get()
        while job is not None:
            ticket, post = job
            answer = self._carry(transport, post)
            del job, post
            with self._lock:  # before the answer is told: what follows from it may come to this worker
                job = self._waiting.popleft() if self._waiting and not self._closed else None
                if job is None:
                    self._idle.append(hand)
                    if self._closed:
                        hand.put(None)
            self._completions.put(ticket, answer)
            del ticket, answer
            if job is None:
                job = _next(hand, transport)
        transport.close()

    def _carry(self, transport: LeanTransport, post: Post) -> Answer:
        """The answer to one post. Never raises."""
        began, size, secrets = time.monotonic(), 0, list(self._head.secrets)
        try:
            deadline = began + post.timeout_s
            head = self._head
            if self._reread is not None and (given := self._reread()) is not head.given:
                head = self._head = _Head(given, self._url, self._inlet.name)
                secrets += head.secrets
            fields = head.fields
            bearer = None if self._inlet.token is None else self._inlet.token.bearer(deadline)
            if bearer is not None:
                secrets.append(bearer)
                fields = head.bearing(bearer)
            size = post.size
            status, heads, text = transport.post(self._url, fields, size, partial(body, post.pieces), deadline, self._max_answer_bytes)
            answer = self._judge(status, heads, text, head, bearer)
        except TokenError as error:
            answer = Answer(fault=Fault.CREDENTIALS, error=_clean(str(error), secrets))
        except AnswerTooLarge as error:
            answer = Answer(fault=Fault.OVERSIZE, error=str(error))
        except httpx.TimeoutException as error:
            answer = Answer(fault=Fault.TIMEOUT, error=_clean(f"{error} (after {time.monotonic() - began:.1f} s)", secrets))
        except httpx.HTTPError as error:
            answer = Answer(fault=Fault.CONNECTION, error=_clean(str(error) or type(error).__name__, secrets))
        except BaseException as error:
            transport.close()
            size = 0
            answer = Answer(fault=Fault.CONNECTION, error=_clean(f"unexpected: {_describe(error)}", secrets))
            if self._on_crash is not None:
                with suppress(Exception):
                    self._on_crash(self._inlet.name, error)
        if self._on_request is not None:
            with suppress(Exception):
                self._on_request(self._inlet.name, answer.fault.value if answer.fault else str(answer.status), time.monotonic() - began, size)
        return answer

    def _judge(self, status: int, fields: Iterable[tuple[bytes, bytes]], answer: bytes, head: _Head, bearer: str | None) -> Answer:
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
        return Answer(status=status, headers=headers, body=answer, token_was_good=was_good)


class _Head:
    """What goes before a request's body, made once of the headers that are configured, and what of it must be shown to nobody."""

    def __init__(self, given: Mapping[str, str], url: httpx.URL, inlet: str) -> None:
        """Raises ValueError for what no header can have."""
        for name, value in given.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                msg = f"the header {name!r} of inlet {inlet!r} holds something other than printable ASCII"
                raise ValueError(msg)
        ours = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": f"aep-bridge/{__version__}"}
        headers = {"Host": url.netloc.decode(), **ours, **{name.title(): value for name, value in given.items()}}
        self.given = given
        self.fields = [(name.encode(), value.encode()) for name, value in headers.items() if name not in ("Content-Length", "Transfer-Encoding")]
        self._anonymous = [field for field in self.fields if field[0] != b"Authorization"]
        self.secrets = [part for value in given.values() for part in (value, *value.split()) if len(part) >= _SECRET_LENGTH]
        self.keys = [part.encode() for name, value in given.items() if _SECRET_NAME.search(name) for part in value.split() if len(part) >= _SECRET_LENGTH]
        self._bearing: tuple[str, list[tuple[bytes, bytes]]] = "", self.fields
        """The last bearer token, and the fields with it."""

    def bearing(self, bearer: str) -> list[tuple[bytes, bytes]]:
        """The fields with this token: the same object as long as it is the same token."""
        known, fields = self._bearing
        if known != bearer:
            fields = [*self._anonymous, (b"Authorization", f"Bearer {bearer}".encode("ascii"))]
            self._bearing = bearer, fields
        return fields


def _next(hand: SimpleQueue[_Job | None], transport: LeanTransport) -> _Job | None:
    """A worker's next work, however long that takes; None is the end."""
    try:
        return hand.get(timeout=KEPT_S)
    except Empty:
        transport.close()
        return hand.get()


def _describe(error: BaseException) -> str:
    """The exception's repr; of one that carries the text it choked on, only its name."""
    return type(error).__name__ if isinstance(error, UnicodeError) else repr(error)


def _clean(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, and not longer than a log line should be."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text[:_MAX_ERROR]


__all__ = ["Endpoint", "HttpSender", "OnCrash", "OnRequest"]
