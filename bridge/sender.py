"""Worker threads that carry requests: one POST each, with a total deadline and a capped answer, and the answer goes back as a value.

Every inlet has its own workers, started when there is work for them, so a dead inlet starves no other; every worker has its own connection.
Nothing is retried here, and nothing is raised: what came of a request, good or bad, is an `Answer` in the completions.
"""

from __future__ import annotations

import re
import time
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
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Configured ones; they win over our own, `Authorization` only where there is no token source."""
    token: TokenSource | None = None
    proxy: str | None = field(default=None, repr=False)
    """A URL, "" for none, None for the environment's."""
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
        ours = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": f"aep-bridge/{__version__}"}
        for name, value in inlet.headers.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                msg = f"the header {name!r} of inlet {inlet.name!r} holds something other than printable ASCII"
                raise ValueError(msg)
        self._url = httpx.URL(inlet.url)
        headers = {"Host": self._url.netloc.decode(), **ours, **{name.title(): value for name, value in inlet.headers.items()}}
        self._fields = [(name.encode(), value.encode()) for name, value in headers.items() if name not in ("Content-Length", "Transfer-Encoding")]
        self._anonymous = [field for field in self._fields if field[0] != b"Authorization"]
        self._secrets = [part for value in inlet.headers.values() for part in (value, *value.split()) if len(part) >= _SECRET_LENGTH]
        self._keys = [
            part.encode() for name, value in inlet.headers.items() if _SECRET_NAME.search(name) for part in value.split() if len(part) >= _SECRET_LENGTH
        ]
        self._work: SimpleQueue[tuple[object, Post] | None] = SimpleQueue()
        self._lock = Lock()
        self._open = 0
        self._workers = 0
        self._closed = False

    def send(self, ticket: object, post: Post) -> None:
        with self._lock:
            if self._closed:
                return
            self._open += 1
            if self._open > self._workers and self._workers < self._inlet.max_in_flight:
                self._workers += 1
                Thread(target=self._run, name=f"sender-{self._inlet.name}-{self._workers}", daemon=True).start()
        self._work.put((ticket, post))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for _ in range(self._workers):
                self._work.put(None)

    def _run(self) -> None:
        """One worker. It closes its connection when idle, so that the far side need not."""
        transport = LeanTransport(tls=self._tls, proxy=self._inlet.proxy)
        while not self._closed:
            try:
                job = self._work.get(timeout=KEPT_S)
            except Empty:
                transport.close()
                continue
            if job is None:
                break
            ticket, post = job
            answer = self._carry(transport, post)
            del job, post
            with self._lock:
                self._open -= 1
            self._completions.put(ticket, answer)
        transport.close()

    def _carry(self, transport: LeanTransport, post: Post) -> Answer:
        """The answer to one post. Never raises."""
        began, size, secrets = time.monotonic(), 0, list(self._secrets)
        try:
            deadline = began + post.timeout_s
            fields = self._fields
            bearer = None if self._inlet.token is None else self._inlet.token.bearer(deadline)
            if bearer is not None:
                secrets.append(bearer)
                fields = [*self._anonymous, (b"Authorization", f"Bearer {bearer}".encode("ascii"))]
            size = post.size
            fields = [*fields, (b"Content-Length", b"%d" % size)]
            answer = self._judge(*transport.post(self._url, fields, partial(body, post.pieces), deadline, self._max_answer_bytes), bearer)
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

    def _judge(self, status: int, fields: Iterable[tuple[bytes, bytes]], answer: bytes, bearer: str | None) -> Answer:
        """The response as a value; tells the token source what became of its token."""
        was_good, token = False, self._inlet.token
        if token is not None and bearer is not None:
            if 200 <= status < 300:
                token.accepted(bearer)
            elif status in _AUTHORIZATION_REFUSED:
                was_good = token.refused(bearer)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in fields}
        # The answer's texts go into logs and dead letters: one that repeats our headers must not carry the token there.
        for secret in [*self._keys, *([bearer.encode()] if bearer else [])]:
            if secret in answer:
                answer = answer.replace(secret, b"***")
        return Answer(status=status, headers=headers, body=answer, token_was_good=was_good)


def _describe(error: BaseException) -> str:
    """The exception's repr; of one that carries the text it choked on, only its name."""
    return type(error).__name__ if isinstance(error, UnicodeError) else repr(error)


def _clean(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, and not longer than a log line should be."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text[:_MAX_ERROR]


__all__ = ["Endpoint", "HttpSender", "OnCrash", "OnRequest"]
