"""A network that can be cut: TCP gateways between the bridge and its neighbours, all served by one thread."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

Cut = Literal["freeze", "refuse", "reset"]
"""`freeze`: packets vanish, connections stay. `refuse`: open connections are reset and new ones too. `reset`: open ones only, once."""

T = TypeVar("T")


class Gateway:
    """One listening port that stands for another. `passes` says whether bytes of a connection may go on now."""

    def __init__(self, network: Network, name: str, target: int) -> None:
        self.network, self.name, self.target = network, name, target
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self.socket.getsockname()[1]
        self.cut: Cut | None = None
        self.isolated: set[int] = set()
        """Processes whose connections are frozen."""
        self.connections: set[_Connection] = set()
        self.hits = 0
        """Bytes held up, connections reset or refused by a cut."""
        self.unanswered = 0
        """Connections for which nobody was at the other end."""

    def frozen(self, owner: int | None) -> bool:
        """Whether bytes of this process's connections wait."""
        return self.cut == "freeze" or owner in self.isolated


class _Connection:
    """Two sockets and the bytes between them."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gateway, self.reader, self.writer = gateway, reader, writer
        self.far: asyncio.StreamWriter | None = None
        self.owner: int | None = None

    def reset(self) -> None:
        for writer in (self.writer, self.far):
            if writer is not None:
                writer.transport.abort()

    async def run(self) -> None:
        gateway = self.gateway
        if gateway.cut == "refuse":
            gateway.hits += 1
            self.reset()
            return
        self.owner = await asyncio.to_thread(
            _owner, self.writer.get_extra_info("peername")[1], gateway.network.members()
        )
        gateway.connections.add(self)
        try:
            await self._thaw()
            try:
                far_reader, self.far = await asyncio.open_connection("127.0.0.1", gateway.target)
            except OSError:
                gateway.unanswered += 1
                raise
            await asyncio.gather(self._pump(self.reader, self.far), self._pump(far_reader, self.writer))
        except OSError:
            pass
        finally:
            gateway.connections.discard(self)
            self.reset()

    async def _thaw(self) -> None:
        self.gateway.hits += self.gateway.frozen(self.owner)
        while self.gateway.frozen(self.owner):
            await asyncio.sleep(0.05)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            await self._thaw()
            sink.write(data)
            await sink.drain()
        await self._thaw()
        with suppress(OSError, RuntimeError):
            sink.write_eof()


class Network:
    """Gateways, and the thread that serves them. `members` gives the processes that may be isolated, by id."""

    def __init__(self, members: Callable[[], set[int]]) -> None:
        self.members = members
        self.gateways: dict[str, Gateway] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        for gateway in self.gateways.values():
            gateway.socket.close()

    def add(self, name: str, target: int) -> Gateway:
        """A gateway to a port of this machine."""
        gateway = self.gateways[name] = Gateway(self, name, target)

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_Connection(gateway, reader, writer).run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._servers.append(self._call(asyncio.start_server(accepted, sock=gateway.socket)))
        return gateway

    def cut(self, how: Cut, *names: str) -> None:
        """Cuts some gateways, until `heal`."""
        for name in names:
            gateway = self.gateways[name]
            gateway.cut = None if how == "reset" else how
            if how != "freeze":
                self._call(self._reset(gateway))

    def isolate(self, owner: int, *names: str) -> None:
        """Freezes what one process has through some gateways, until `heal`."""
        for name in names:
            self.gateways[name].isolated.add(owner)

    def heal(self, *names: str) -> None:
        """Lets everything pass."""
        for name in names:
            self.gateways[name].cut = None
            self.gateways[name].isolated.clear()

    def hits(self, *names: str) -> int:
        """How often cuts have hit something, so far."""
        return sum(self.gateways[name].hits for name in names)

    def unanswered(self, *names: str) -> int:
        """Connections for which nobody was at the other end, so far."""
        return sum(self.gateways[name].unanswered for name in names)

    def connections(self, *names: str) -> int:
        """How many are open."""
        return sum(len(self.gateways[name].connections) for name in names)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset(self, gateway: Gateway) -> None:
        while gateway.connections:
            gateway.hits += 1
            gateway.connections.pop().reset()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def _owner(port: int, members: set[int]) -> int | None:
    """The process among `members` that has a TCP connection from this local port."""
    wanted = f"{port:04X}"
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return None
    inodes = {fields[9] for line in lines if (fields := line.split())[1].rpartition(":")[2] == wanted}
    targets = {f"socket:[{inode}]" for inode in inodes}
    for member in members:
        with suppress(OSError):
            for each in os.scandir(f"/proc/{member}/fd"):
                with suppress(OSError):
                    if os.readlink(each.path) in targets:
                        return member
    return None
