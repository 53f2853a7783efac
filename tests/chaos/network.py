"""TCP gateways from the replicas to AEP and the brokers, whose connections can be frozen, refused or reset.

One thread serves all of them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

Cut = Literal["freeze", "refuse", "reset"]
"""How a gateway is cut.

`freeze`: packets vanish, and connections stay. `refuse`: open connections are reset, and so are new ones.
`reset`: open connections are reset once, and new ones pass.
"""

T = TypeVar("T")


class Gateway:
    """One listening port that stands for another port of this machine."""

    def __init__(self, network: Network, name: str, target: int) -> None:
        self.network, self.name, self.target = network, name, target
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self.socket.getsockname()[1]
        self.cut: Cut | None = None
        self.isolated: set[int] = set()
        """Ids of the processes whose connections are frozen."""
        self.connections: set[_Connection] = set()
        self.hits = 0
        """How often a cut held up bytes, or reset or refused a connection."""
        self.failed_connects = 0
        """Connections that ended because nothing listened on the target port."""

    def frozen(self, pid: int | None) -> bool:
        """Say whether bytes of this process's connections have to wait."""
        return self.cut == "freeze" or pid in self.isolated


class _Connection:
    """A connection of a client, the one to the target that belongs to it, and the bytes between them."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gateway, self.reader, self.writer = gateway, reader, writer
        self.target_writer: asyncio.StreamWriter | None = None
        self.pid: int | None = None

    def reset(self) -> None:
        for writer in (self.writer, self.target_writer):
            if writer is not None:
                writer.transport.abort()

    async def run(self) -> None:
        gateway = self.gateway
        if gateway.cut == "refuse":
            gateway.hits += 1
            self.reset()
            return
        port = self.writer.get_extra_info("peername")[1]
        self.pid = await asyncio.to_thread(_process_with_port, port, gateway.network.process_ids())
        gateway.connections.add(self)
        try:
            await self._wait_while_frozen()
            try:
                target_reader, self.target_writer = await asyncio.open_connection("127.0.0.1", gateway.target)
            except OSError:
                gateway.failed_connects += 1
                raise
            await asyncio.gather(
                self._forward(self.reader, self.target_writer),
                self._forward(target_reader, self.writer),
            )
        except OSError:
            pass
        finally:
            gateway.connections.discard(self)
            self.reset()

    async def _wait_while_frozen(self) -> None:
        self.gateway.hits += self.gateway.frozen(self.pid)
        while self.gateway.frozen(self.pid):  # noqa: ASYNC110  (another thread changes it)
            await asyncio.sleep(0.05)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            await self._wait_while_frozen()
            sink.write(data)
            await sink.drain()
        await self._wait_while_frozen()
        with suppress(OSError, RuntimeError):
            sink.write_eof()


class Network:
    """The gateways and their thread. `process_ids` gives the ids of the processes that may be isolated."""

    def __init__(self, process_ids: Callable[[], set[int]]) -> None:
        self.process_ids = process_ids
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
        """Add a gateway to a port of this machine."""
        gateway = self.gateways[name] = Gateway(self, name, target)

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_Connection(gateway, reader, writer).run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._servers.append(self._call(asyncio.start_server(accepted, sock=gateway.socket)))
        return gateway

    def cut(self, how: Cut, *names: str) -> None:
        """Cut these gateways, until `heal`."""
        for name in names:
            gateway = self.gateways[name]
            gateway.cut = None if how == "reset" else how
            if how != "freeze":
                self._call(self._reset(gateway))

    def isolate(self, pid: int, *names: str) -> None:
        """Freeze the connections of one process through these gateways, until `heal`."""
        for name in names:
            self.gateways[name].isolated.add(pid)

    def heal(self, *names: str) -> None:
        """Let everything pass these gateways."""
        for name in names:
            self.gateways[name].cut = None
            self.gateways[name].isolated.clear()

    def hits(self, *names: str) -> int:
        """Return how often cuts of these gateways have hit something so far."""
        return sum(self.gateways[name].hits for name in names)

    def failed_connects(self, *names: str) -> int:
        """Return how many connections ended because nothing listened on the target ports."""
        return sum(self.gateways[name].failed_connects for name in names)

    def connections(self, *names: str) -> int:
        """Return how many connections are open."""
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


def _process_with_port(port: int, process_ids: set[int]) -> int | None:
    """Return which of these processes has a TCP connection from this local port."""
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return None
    rows = [line.split() for line in lines]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].rpartition(":")[2] == f"{port:04X}"}
    for pid in process_ids:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in sockets:
                        return pid
    return None
