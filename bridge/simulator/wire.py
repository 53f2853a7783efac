"""Puts replies on a connection: whole, in pieces, or broken in the manner that was asked for."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from bridge.simulator.http import Manner, Reply

_PIECE = 65_536
_TICK_S = 0.05
"""How often a dripping answer writes."""


class Out:
    """The writing side of one connection, with back-pressure."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()

    def pause(self) -> None:
        """The peer reads too slowly."""
        self._writable.clear()

    def resume(self) -> None:
        """The peer has caught up, or is gone."""
        self._writable.set()

    async def write(self, data: bytes) -> None:
        """Writes, and waits while the peer is behind."""
        self._transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """Ends the connection after what is written."""
        self._transport.close()

    def reset(self) -> None:
        """Ends the connection with a TCP reset, whatever is written."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


async def deliver(reply: Reply, out: Out, *, keep_alive: bool, skew_s: float) -> bool:
    """Writes a reply in its manner; returns whether the connection may serve another request; where not, closing it is the caller's."""
    manner = reply.manner
    if manner is Manner.HANG:
        await asyncio.Event().wait()
    if manner is Manner.RESET:
        out.reset()
        return False
    if manner is Manner.GARBAGE:
        await out.write(b"\x16\x03\x01 no HTTP here\r\n" + os.urandom(256))
        return False
    if manner in (Manner.ENDLESS, Manner.HUGE):
        await _flood(reply, out, skew_s)
        return False
    keep_alive = keep_alive and manner is not Manner.CLOSE
    if isinstance(reply.body, bytes):
        head = _head(reply, f"content-length: {len(reply.body)}", skew_s, keep_alive=keep_alive)
        await _whole(head, reply.body, reply, out)
    else:
        await out.write(_head(reply, "transfer-encoding: chunked", skew_s, keep_alive=keep_alive))
        await _chunked(reply.body, out)
    return keep_alive and manner not in (Manner.DROP, Manner.HALF)


async def _whole(head: bytes, body: bytes, reply: Reply, out: Out) -> None:
    match reply.manner:
        case Manner.HALF:
            await out.write(head + body[: len(body) // 2])
        case Manner.DRIP:
            await out.write(head)
            step = max(1, int(reply.rate * _TICK_S))
            for start in range(0, len(body), step):
                await out.write(body[start : start + step])
                await asyncio.sleep(step / reply.rate)
        case _:
            await out.write(head + body)


async def _chunked(pieces: Iterable[bytes], out: Out) -> None:
    for piece in pieces:
        await out.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.sleep(0)
    await out.write(b"0\r\n\r\n")


async def _flood(reply: Reply, out: Out, skew_s: float) -> None:
    """A body without end, or of a great size; it begins like a good answer."""
    start = b'{"responses":[{}'
    filler = b"," + b" " * (_PIECE - 4) + b"{}\n"
    if reply.manner is Manner.HUGE:
        await out.write(_head(reply, f"content-length: {reply.size}", skew_s, keep_alive=False) + start)
        left = reply.size - len(start) - 2
        while left > 0:
            await out.write(filler[:left] if left >= len(filler) else b" " * left)
            left -= min(left, len(filler))
            await asyncio.sleep(0)
        await out.write(b"]}")
        return
    await out.write(
        _head(reply, "transfer-encoding: chunked", skew_s, keep_alive=False)
        + b"%x\r\n%b\r\n" % (len(start), start)
    )
    while True:
        await out.write(b"%x\r\n%b\r\n" % (len(filler), filler))
        await asyncio.sleep(0.001)


def _head(reply: Reply, framing: str, skew_s: float, *, keep_alive: bool) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [
        f"HTTP/1.1 {reply.status} {phrase}",
        f"date: {formatdate(time.time() + skew_s, usegmt=True)}",
        f"content-type: {reply.content_type}",
        framing,
    ]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
