"""Sends batch requests: one POST each, with a deadline for all of it and a response of limited size.

Nothing is retried here, and nothing is raised: whatever comes of a request, good or bad, arrives in the
completions as a `BatchResponse`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from bridge.aep.endpoint import Endpoint
from bridge.aep.request_headers import RequestHeaders, without_secrets
from bridge.codec.request import body
from bridge.http.connection import DEFAULT_MAX_RESPONSE_BYTES, HttpConnection
from bridge.http.connection_pool import ConnectionPool
from bridge.http.errors import HttpError, HttpTimeout, ResponseTooLarge
from bridge.http.non_blocking import NonBlocking
from bridge.http.oauth import TokenError
from bridge.http.reactor import Reactor
from bridge.http.tls import Tls
from bridge.model import BatchRequest, BatchResponse, Fault

OnCrash = Callable[[str, BaseException], None]
"""(inlet, an error that nobody expected)"""

_AUTHORIZATION_REFUSED: Final = (401, 403)


class HttpSender:
    """The real `ports.Sender`. One thread calls it, the one that takes the completions."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        completions: Reactor,
        *,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        on_crash: OnCrash | None = None,
    ) -> None:
        """Raises ValueError for a proxy that isn't one and for headers that can't be sent, OSError or
        ssl.SSLError for unusable TLS files.
        """
        self._inlets = {
            name: _InletSender(endpoint, completions, max_response_bytes, on_crash)
            for name, endpoint in endpoints.items()
        }

    def send(self, ticket: object, request: BatchRequest) -> None:
        """Never blocks. Each request that is under way has a connection of its own."""
        self._inlets[request.inlet].send(ticket, request)

    def close(self) -> None:
        """Take no more requests and close all connections.

        Requests under way get no response, except that one which a thread carries may still get one.
        """
        for inlet in self._inlets.values():
            inlet.close()


class _InletSender:
    """One inlet's requests."""

    def __init__(
        self, endpoint: Endpoint, completions: Reactor, max_response_bytes: int, on_crash: OnCrash | None
    ) -> None:
        self._endpoint = endpoint
        self._completions = completions
        self._max_response_bytes = max_response_bytes
        self._on_crash = on_crash
        self._pool = ConnectionPool(
            completions,
            f"sender-{endpoint.name}",
            endpoint.url,
            tls=Tls(endpoint.ca_file, endpoint.cert_file, endpoint.key_file),
            proxy=endpoint.proxy,
        )
        configured = endpoint.headers
        self._read_headers = configured if callable(configured) else None
        self._headers = self._make_headers(configured() if callable(configured) else configured)

    def _make_headers(self, configured: Mapping[str, str]) -> RequestHeaders:
        return RequestHeaders(configured, self._pool.host, self._endpoint.name)

    def send(self, ticket: object, request: BatchRequest) -> None:
        token, bearer = self._endpoint.token, None
        try:
            if token is not None:
                bearer = token.cached_bearer()
            self._pool.start(
                partial(self._exchange, request, bearer),
                partial(self._completions.put, ticket),
                may_block=token is not None and bearer is None,
            )
        except Exception as error:
            self._completions.put(ticket, self._unexpected(error, self._headers.secrets))

    def close(self) -> None:
        self._pool.close()

    def _exchange(
        self, request: BatchRequest, bearer: str | None, connection: HttpConnection, may_block: bool
    ) -> NonBlocking[BatchResponse]:
        """Return the response to one request. Never raises.

        Where it may block, it waits for a token and connects first.
        """
        began, headers = time.monotonic(), self._headers
        secrets = list(headers.secrets)
        try:
            deadline = began + request.timeout_s
            if self._read_headers is not None:
                configured = self._read_headers()
                if configured is not headers.configured:  # a file has changed
                    headers = self._headers = self._make_headers(configured)
                    secrets += headers.secrets
            fields = headers.fields
            if may_block and self._endpoint.token is not None:
                bearer = self._endpoint.token.bearer(deadline)
            if bearer is not None:
                secrets.append(bearer)
                fields = headers.fields_with(bearer)
            if may_block:
                connection.connect(self._pool.url, deadline)
            status, response_fields, content = yield from connection.post(
                self._pool.url,
                fields,
                request.size,
                partial(body, request.pieces),
                deadline,
                self._max_response_bytes,
            )
            return self._response(status, response_fields, content, headers, bearer)
        except TokenError as error:
            return BatchResponse(fault=Fault.CREDENTIALS, error=without_secrets(str(error), secrets))
        except ResponseTooLarge as error:
            return BatchResponse(fault=Fault.OVERSIZE, error=str(error))
        except HttpTimeout as error:
            reason = f"{error} (after {time.monotonic() - began:.1f} s)"
            return BatchResponse(fault=Fault.TIMEOUT, error=without_secrets(reason, secrets))
        except HttpError as error:
            reason = str(error) or type(error).__name__
            return BatchResponse(fault=Fault.CONNECTION, error=without_secrets(reason, secrets))
        except Exception as error:
            connection.close()
            return self._unexpected(error, secrets)

    def _response(
        self,
        status: int,
        fields: Iterable[tuple[bytes, bytes]],
        content: bytes,
        headers: RequestHeaders,
        bearer: str | None,
    ) -> BatchResponse:
        """Return the response as a value; report to the token source whether AEP accepted its token."""
        token, token_was_good = self._endpoint.token, False
        if token is not None and bearer is not None:
            if 200 <= status < 300:
                token.accepted(bearer)
            elif status in _AUTHORIZATION_REFUSED:
                token_was_good = token.refused(bearer)
        names_and_values = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in fields}
        # The response goes into logs and dead letters: where it repeats our headers, their secrets must not.
        for secret in [*headers.response_secrets, *([bearer.encode()] if bearer else [])]:
            if secret in content:
                content = content.replace(secret, b"***")
        return BatchResponse(
            status=status, headers=names_and_values, body=content, token_was_good=token_was_good
        )

    def _unexpected(self, error: Exception, secrets: Iterable[str]) -> BatchResponse:
        if self._on_crash is not None:
            with suppress(Exception):
                self._on_crash(self._endpoint.name, error)
        text = f"unexpected: {_describe(error)}"
        return BatchResponse(fault=Fault.CONNECTION, error=without_secrets(text, secrets))


def _describe(error: BaseException) -> str:
    """Return the exception's repr; only the name of one that carries the text which it could not handle."""
    return type(error).__name__ if isinstance(error, UnicodeError) else repr(error)


__all__ = ["Endpoint", "HttpSender", "OnCrash"]
