"""One request over an `HttpConnection`, for tests."""

from __future__ import annotations

import time

import httpx

from bridge.http.connection import HttpConnection

LONG_S = 10.0
"""More than any request of a test takes."""


def post(
    connection: HttpConnection,
    url: str,
    content: bytes = b"{}",
    timeout_s: float = LONG_S,
    max_bytes: int = 1 << 20,
) -> httpx.Response:
    """Send a POST and return its response."""
    limits = {"deadline": time.monotonic() + timeout_s, "max_response_bytes": max_bytes}
    return connection.handle_request(httpx.Request("POST", url, content=content, extensions=limits))
