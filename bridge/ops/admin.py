"""The admin port: liveness, readiness, metrics, status, and (with a token) the skip order. Reads only what
the pump's thread has put down.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.ops.admin_connections import BACKLOG, SAFE_HEADERS, BoundedConnection
from bridge.ops.status_page import page, summary

MAX_BODY = 8192
"""Bytes of a request body; nothing here needs more."""
SKIP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class View:
    """What the admin port shows and passes on."""

    registry: CollectorRegistry
    alive: Callable[[], str | None]
    """What is wrong with the loop, or None."""
    ready: Callable[[], str | None]
    """Why this process is not ready, or None."""
    status: Callable[[], Mapping[str, Any]]
    token: Callable[[], str] | None = None
    """Reads the token that state-changing requests need; without it there are none."""
    skip: Callable[[str, int, int, str, str], Future[str]] | None = None
    """Topic, partition, offset, who, why → what became of it."""


def app(view: View) -> ASGIApp:
    """The ASGI application."""

    async def livez(_: Request) -> Response:
        wrong = view.alive()
        return PlainTextResponse(wrong or "ok", 503 if wrong else 200)

    async def readyz(_: Request) -> Response:
        wrong = view.ready()
        return PlainTextResponse(wrong or "ok", 503 if wrong else 200)

    async def metrics(request: Request) -> Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(view.registry), headers={"content-type": content_type})

    async def status(_: Request) -> Response:
        seen = view.status()
        return JSONResponse({**seen, "summary": summary(seen)})

    async def front(_: Request) -> Response:
        return Response(page(), media_type="text/html")

    async def skip(request: Request) -> Response:
        assert view.token is not None
        assert view.skip is not None
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        try:
            wanted = view.token()
        except OSError as error:
            return JSONResponse({"error": f"the admin token can't be read: {error.strerror}"}, 503)
        if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
            return JSONResponse(
                {"error": "a bearer token is needed: the content of admin.token_file"},
                401,
                {"www-authenticate": "Bearer"},
            )
        try:
            order = json.loads(await request.body())
            topic, partition, offset = str(order["topic"]), int(order["partition"]), int(order["offset"])
            who, why = str(order["who"])[:200], str(order["why"])[:1000]
            f"{topic}{who}{why}".encode()
        except ClientDisconnect:
            return JSONResponse({"error": f"the order was cut off, or is longer than {MAX_BODY} bytes"}, 413)
        except (ValueError, KeyError, TypeError, RecursionError):
            return JSONResponse({"error": "needed: topic, partition, offset, who and why, in UTF-8"}, 400)
        if not who or not why:
            return JSONResponse(
                {"error": "who and why must say something: they go into the dead letter's headers"}, 400
            )
        try:
            result = await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(view.skip(topic, partition, offset, who, why))),
                SKIP_TIMEOUT_S,
            )
        except TimeoutError:
            return JSONResponse(
                {
                    "moved": False,
                    "result": "ordered; the record has a request under way and moves when that ends",
                },
                202,
            )
        return JSONResponse(
            {"moved": result.startswith("moved"), "result": result},
            200 if result.startswith("moved") else 409,
        )

    routes = [
        Route("/", front),
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/api/status", status),
    ]
    if view.token is not None and view.skip is not None:
        routes.append(Route("/api/skip", skip, methods=["POST"]))
    return _Guard(Starlette(routes=routes))


class _Guard:
    """Bounds every request's body, and puts safe headers on every answer."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:
                return {"type": "http.disconnect"}
            return message

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()),
                ]
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        if len(length) > 6 or (length.isdigit() and int(length) > MAX_BODY):
            refusal: Callable[[Scope, Receive, Send], Awaitable[None]] = PlainTextResponse("too large", 413)
            await refusal(scope, receive, safe)
            return
        await self._inner(scope, bounded, safe)


class Admin:
    """Serves the admin port from a thread. Raises OSError where the port can't be had."""

    def __init__(self, view: View, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app(view),
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            backlog=BACKLOG,
            timeout_keep_alive=30,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="error",  # a line for each stranger's nonsense would be theirs to write
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="admin", daemon=True
        )

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ends at once; requests under way are cut off."""
        self._server.should_exit = self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(2)
        self._socket.close()
