"""Puts responses on a connection: complete, in pieces, or broken in the way that was asked for."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from bridge.simulator.http import HttpResponse, Transmission

_FILLER_BYTES = 65_536
_DRIP_INTERVAL_S = 0.05


class ConnectionWriter:
    """The writing side of one connection, with back-pressure."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()

    def pause(self) -> None:
        """Hold writes back: the peer reads too slowly."""
        self._writable.clear()

    def resume(self) -> None:
        """Let writes go on: the peer has caught up, or is gone."""
        self._writable.set()

    async def write(self, data: bytes) -> None:
        """Write, and wait while the peer is behind."""
        self._transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """Close the connection behind what is written."""
        self._transport.close()

    def reset(self) -> None:
        """End the connection with a TCP reset, which discards what is written."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            lingers_for_no_time = struct.pack("ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers_for_no_time)
        self._transport.abort()


async def transmit(
    response: HttpResponse, writer: ConnectionWriter, *, keep_alive: bool, clock_skew_s: float
) -> bool:
    """Write a response in its way. Return whether the connection can serve another request.

    If it can't, the caller closes it.
    """
    way = response.transmission
    if way is Transmission.HANG:
        await asyncio.Event().wait()
    if way is Transmission.RESET:
        writer.reset()
        return False
    if way is Transmission.GARBAGE:
        await writer.write(b"\x16\x03\x01 no HTTP here\r\n" + os.urandom(256))
        return False
    if way is Transmission.HUGE:
        await _write_huge(response, writer, clock_skew_s)
        return False
    if way is Transmission.ENDLESS:
        await _write_without_end(response, writer, clock_skew_s)
        return False
    keep_alive = keep_alive and way is not Transmission.CLOSE
    if isinstance(response.body, bytes):
        length = f"content-length: {len(response.body)}"
        head = _head(response, length, clock_skew_s, keep_alive=keep_alive)
        await _write_body(head, response.body, response, writer)
    else:
        await writer.write(_head(response, "transfer-encoding: chunked", clock_skew_s, keep_alive=keep_alive))
        await _write_chunks(response.body, writer)
    return keep_alive and way not in (Transmission.DROP, Transmission.HALF)


async def _write_body(head: bytes, body: bytes, response: HttpResponse, writer: ConnectionWriter) -> None:
    match response.transmission:
        case Transmission.HALF:
            await writer.write(head + body[: len(body) // 2])
        case Transmission.DRIP:
            await writer.write(head)
            step = max(1, int(response.bytes_per_s * _DRIP_INTERVAL_S))
            for start in range(0, len(body), step):
                await writer.write(body[start : start + step])
                await asyncio.sleep(step / response.bytes_per_s)
        case _:
            await writer.write(head + body)


async def _write_chunks(chunks: Iterable[bytes], writer: ConnectionWriter) -> None:
    for chunk in chunks:
        await writer.write(_chunk(chunk))
        await asyncio.sleep(0)
    await writer.write(b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# A body that is much too large begins like a good one.
_START = b'{"responses":[{}'
_FILLER = b"," + b" " * (_FILLER_BYTES - 4) + b"{}\n"
_END = b"]}"


async def _write_huge(response: HttpResponse, writer: ConnectionWriter, clock_skew_s: float) -> None:
    """Write a JSON body of exactly `size` bytes."""
    head = _head(response, f"content-length: {response.size}", clock_skew_s, keep_alive=False)
    await writer.write(head + _START)
    left = response.size - len(_START) - len(_END)
    while left > 0:
        await writer.write(_FILLER if left >= len(_FILLER) else b" " * left)
        left -= min(left, len(_FILLER))
        await asyncio.sleep(0)
    await writer.write(_END)


async def _write_without_end(response: HttpResponse, writer: ConnectionWriter, clock_skew_s: float) -> None:
    head = _head(response, "transfer-encoding: chunked", clock_skew_s, keep_alive=False)
    await writer.write(head + _chunk(_START))
    while True:
        await writer.write(_chunk(_FILLER))
        await asyncio.sleep(0.001)


def _head(response: HttpResponse, framing: str, clock_skew_s: float, *, keep_alive: bool) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [
        f"HTTP/1.1 {response.status} {phrase}",
        f"date: {formatdate(time.time() + clock_skew_s, usegmt=True)}",
        f"content-type: {response.content_type}",
        framing,
    ]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
