"""The admin port's application: liveness, readiness, metrics, status, and (with a token) the skip order.

It reads only what other threads have published.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.ops.safe_headers import SAFE_HEADERS
from bridge.ops.status_page import page, summary

MAX_BODY = 8192
"""The most bytes of a request's body. Nothing here needs more."""
SKIP_TIMEOUT_S = 30.0
"""How long the response to a skip order waits for the record to move."""
WHO_CHARACTERS, WHY_CHARACTERS = 200, 1000


@dataclass(frozen=True, slots=True)
class AdminOperations:
    """What the admin port shows of the process, and what it passes on to it."""

    registry: CollectorRegistry
    alive: Callable[[], str | None]
    """Returns what is wrong with the loop, or None."""
    ready: Callable[[], str | None]
    """Returns why this process is not ready, or None."""
    status: Callable[[], Mapping[str, Any]]
    token: Callable[[], str] | None = None
    """Reads the token that a skip order needs. Without it the port takes no orders."""
    skip: Callable[[str, int, int, str, str], Future[str]] | None = None
    """Takes topic, partition, offset, who and why. The future says in words what became of the order."""


class _Order(NamedTuple):
    topic: str
    partition: int
    offset: int
    who: str
    why: str


def admin_app(operations: AdminOperations) -> ASGIApp:
    """Return the ASGI application."""

    async def livez(_: Request) -> Response:
        return _probe_response(operations.alive())

    async def readyz(_: Request) -> Response:
        return _probe_response(operations.ready())

    async def metrics(request: Request) -> Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(operations.registry), headers={"content-type": content_type})

    async def status(_: Request) -> Response:
        document = operations.status()
        return JSONResponse({**document, "summary": summary(document)})

    async def status_page(_: Request) -> Response:
        return Response(page(), media_type="text/html")

    routes = [
        Route("/", status_page),
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/api/status", status),
    ]
    if operations.token is not None and operations.skip is not None:
        skip = _skip_endpoint(operations.token, operations.skip)
        routes.append(Route("/api/skip", skip, methods=["POST"]))
    return _Guard(Starlette(routes=routes))


def _probe_response(problem: str | None) -> Response:
    return PlainTextResponse(problem or "ok", 503 if problem else 200)


def _skip_endpoint(
    token: Callable[[], str], skip: Callable[[str, int, int, str, str], Future[str]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if (refusal := _check_token(request, token)) is not None:
            return refusal
        order = await _read_order(request)
        if isinstance(order, Response):
            return order
        moving = asyncio.wrap_future(skip(*order))
        try:
            # The shield keeps the order when the response is no longer waited for.
            result = await asyncio.wait_for(asyncio.shield(moving), SKIP_TIMEOUT_S)
        except TimeoutError:
            text = "ordered; the record has a request under way and moves when that ends"
            return JSONResponse({"moved": False, "result": text}, 202)
        moved = result.startswith("moved")
        return JSONResponse({"moved": moved, "result": result}, 200 if moved else 409)

    return endpoint


def _check_token(request: Request, token: Callable[[], str]) -> Response | None:
    """Return the response to a request without the right token, or None where the token is right."""
    presented = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    try:
        expected = token()
    except OSError as error:
        return JSONResponse({"error": f"the admin token can't be read: {error.strerror}"}, 503)
    if expected and hmac.compare_digest(presented.encode(), expected.encode()):
        return None
    text = "a bearer token is needed: the content of admin.token_file"
    return JSONResponse({"error": text}, 401, {"www-authenticate": "Bearer"})


async def _read_order(request: Request) -> _Order | Response:
    """Return the order in the request's body, or the response to one that can't be carried out."""
    try:
        order = _parse_order(await request.body())
    except ClientDisconnect:
        return JSONResponse({"error": f"the order was cut off, or is longer than {MAX_BODY} bytes"}, 413)
    except (ValueError, KeyError, TypeError, RecursionError):
        return JSONResponse({"error": "needed: topic, partition, offset, who and why, in UTF-8"}, 400)
    if not order.who or not order.why:
        text = "who and why must say something: they go into the dead letter's headers"
        return JSONResponse({"error": text}, 400)
    return order


def _parse_order(body: bytes) -> _Order:
    fields = json.loads(body)
    order = _Order(
        topic=str(fields["topic"]),
        partition=int(fields["partition"]),
        offset=int(fields["offset"]),
        who=str(fields["who"])[:WHO_CHARACTERS],
        why=str(fields["why"])[:WHY_CHARACTERS],
    )
    # JSON can hold half of a surrogate pair, which no header can: this raises a ValueError for it.
    f"{order.topic}{order.who}{order.why}".encode()
    return order


class _Guard:
    """Bounds the body of every request, and adds safe headers to every response."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                return {"type": "http.disconnect"}
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()),
                ]
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        # The number of digits comes first: Python refuses to parse numbers with thousands of them.
        if len(length) > 6 or (length.isdigit() and int(length) > MAX_BODY):
            refusal: ASGIApp = PlainTextResponse("too large", 413)
            await refusal(scope, receive, send_with_headers)
            return
        await self._inner(scope, receive_bounded, send_with_headers)
