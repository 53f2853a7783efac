"""The pool's connections over real sockets, as the sender uses them: which one is used, and when one ends."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref

import httpx
import pytest

from bridge.aep.sender import Endpoint, HttpSender
from bridge.http.connection import HttpConnection
from bridge.http.oauth import TokenSource
from bridge.model import Fault
from tests.support.clients import until
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, always, response
from tests.support.sender import LONG_S, Inbox, batch_request


def tokens(server: RawServer) -> TokenSource:
    client = httpx.Client(transport=HttpConnection(proxy=""), trust_env=False)
    return TokenSource(url=server.url, client_id="me", secret=lambda: "s", scope="openid", client=client)


def sender_to(server: RawServer, inbox: Inbox, name: str = "web") -> HttpSender:
    return HttpSender({name: Endpoint(name, server.url, proxy="")}, inbox)


def test_a_dead_inlet_starves_no_other() -> None:
    """Neither its silence nor what is still being written to it keeps a response of another inlet waiting."""

    def responds_once(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.stopped.wait(LONG_S)

    with RawServer(responds_once) as dead, RawServer(always(response())) as good, Inbox() as inbox:
        endpoints = {
            "dead": Endpoint("dead", dead.url, proxy=""),
            "good": Endpoint("good", good.url, proxy=""),
        }
        sender = HttpSender(endpoints, inbox)
        for _ in range(5):
            sender.send("dead", batch_request("dead", [b"{}"]))
        assert inbox.statuses(5) == [207] * 5
        for _ in range(5):  # over connections that are open, and that nobody reads from
            sender.send("dead", batch_request("dead", [b"x" * 9_000_000]))
        sender.send("good", batch_request("good", [b"{}"]))

        entry = inbox.next(LONG_S / 2)
        assert entry is not None
        assert entry[0] == "good"
        sender.close()


def threads_of(inlet: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"sender-{inlet}"]


def test_only_a_new_connection_takes_a_thread() -> None:
    """One request after another uses one connection, on the thread that sends; many at once have one each."""
    with RawServer(always(response())) as server, Inbox() as inbox:
        sender = sender_to(server, inbox, "lazy")
        sender.send(0, batch_request("lazy", [b"{}"]))
        threads = threads_of("lazy")
        assert inbox.next_response().status == 207
        assert len(threads) == 1
        threads[0].join(LONG_S)
        for _ in range(5):
            sender.send(0, batch_request("lazy", [b"x" * 5_000_000]))
            assert threads_of("lazy") == []
            assert inbox.next_response().status == 207

        assert server.connections == 1
        for n in range(9):
            sender.send(n, batch_request("lazy", [b"x" * 100_000]))

        assert inbox.statuses(9) == [207] * 9
        assert server.connections == 9
        sender.close()


def test_nobody_waits_for_a_token() -> None:
    """While IMS is silent the thread that sends goes on, and a request whose token is cached is answered."""
    asked = threading.Event()

    def silent(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.stopped.wait(LONG_S)

    with (
        RawServer(always(response())) as server,
        RawServer(silent) as ims,
        RawServer(always(response(200, b'{"access_token":"t"}'))) as issuer,
        Inbox() as inbox,
    ):
        endpoints = {
            "waits": Endpoint("waits", server.url, token=tokens(ims), proxy=""),
            "good": Endpoint("good", server.url, token=tokens(issuer), proxy=""),
        }
        sender = HttpSender(endpoints, inbox)
        began = time.monotonic()
        sender.send("waits", batch_request("waits", [b"{}"], 2.0))
        assert asked.wait(LONG_S)
        for _ in range(3):
            sender.send("good", batch_request("good", [b"{}"]))
            entry = inbox.next()
            assert entry is not None
            assert entry[0] == "good"

        assert time.monotonic() - began < 2.0
        assert inbox.next_response().fault is Fault.CREDENTIALS
        sender.close()


def test_an_idle_connection_that_the_peer_closes() -> None:
    """It is closed on our side too, without waiting for the next request, which opens another."""
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        if not peer.stopped.wait(0.2):
            peer.sock.shutdown(socket.SHUT_WR)
            if peer.read(1) == b"":
                closed.set()

    with RawServer(script) as server, Inbox() as inbox:
        sender = sender_to(server, inbox)
        for _ in range(2):
            sender.send(1, batch_request("web", [b"{}"]))
            assert inbox.next_response().status == 207
            deadline = time.monotonic() + LONG_S
            while not closed.is_set() and time.monotonic() < deadline:
                assert inbox.take(0.05) == []
            assert closed.is_set()
            closed.clear()

        assert server.connections == 2
        sender.close()


def test_the_connection_that_became_idle_last_goes_first() -> None:
    """After a burst the few requests that follow keep to one connection, so that surplus ones time out."""
    served: list[int] = []
    burst = threading.Barrier(3)

    def script(peer: Peer) -> None:
        if peer.request():
            burst.wait(LONG_S)  # all three are under way at once
            peer.send(response())
        while peer.request():
            served.append(id(peer))
            peer.send(response())

    with RawServer(script) as server, Inbox() as inbox:
        sender = sender_to(server, inbox)
        for n in range(3):
            sender.send(n, batch_request("web", [b"{}"]))
        assert inbox.statuses(3) == [207] * 3
        for n in range(9):
            sender.send(n, batch_request("web", [b"{}"]))
            assert inbox.next_response().status == 207
        sender.close()

        assert (server.connections, len(set(served)), len(served)) == (3, 1, 9)


def test_nothing_is_kept_of_what_was_answered() -> None:
    """An idle connection holds none of its earlier requests: eight of them would hold eight megabytes."""

    class Ticket:
        """Can be referred to weakly."""

    with RawServer(always(response())) as server, Inbox() as inbox:
        sender = sender_to(server, inbox)
        tickets = [Ticket() for _ in range(3)]
        references = [weakref.ref(ticket) for ticket in tickets]
        while tickets:
            sender.send(tickets.pop(), batch_request("web", [b"{}"]))
        assert inbox.statuses(3) == [207] * 3

        until(lambda: [reference() for reference in references] == [None] * 3, LONG_S)
        sender.close()


def test_a_closed_connection_does_not_hide_an_open_one() -> None:
    """The request that follows goes out over the open one, without a new connection."""
    closes = threading.Event()
    both = threading.Barrier(2)

    def script(peer: Peer) -> None:
        peer.request()
        both.wait(LONG_S)
        peer.send(response())
        while peer.request():
            if not closes.is_set():
                closes.set()
                peer.send(response(207, RESPONSE_207, "Connection: close"))
                return
            peer.send(response())

    with RawServer(script) as server, Inbox() as inbox:
        sender = sender_to(server, inbox)
        for n in range(2):
            sender.send(n, batch_request("web", [b"{}"]))
        assert inbox.statuses(2) == [207] * 2
        for n in range(3):
            sender.send(n, batch_request("web", [b"{}"]))
            assert inbox.next_response().status == 207

        assert server.connections == 2
        sender.close()


def test_what_could_not_be_sent_is_freed() -> None:
    """At once, not when the garbage collector runs: while AEP is away, failed megabytes would add up."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.stopped.wait(0.2)
        peer.reset()

    def held_bytes() -> int:
        views = [each for each in gc.get_objects() if isinstance(each, memoryview)]
        return sum(view.nbytes for view in views if view.nbytes > 1_000_000)

    with RawServer(script) as server, Inbox() as inbox:
        gc.collect()
        gc.disable()
        try:
            sender = sender_to(server, inbox)
            for timeout_s in (0.05, LONG_S):
                sender.send(1, batch_request("web", [b"{}"]))
                assert inbox.next_response().status == 207
                sender.send(2, batch_request("web", [b"x" * 30_000_000], timeout_s))
                assert inbox.next_response().fault in (Fault.CONNECTION, Fault.TIMEOUT)

                assert held_bytes() == 0
        finally:
            gc.enable()
        sender.close()


@pytest.mark.parametrize(
    ("size", "text"), [(2, "waiting for the response"), (50_000_000, "sending to")], ids=["reads", "writes"]
)
def test_the_deadline_holds_on_the_reactors_thread(size: int, text: str) -> None:
    """Over a connection that was open as over a new one, while writing and while reading."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.stopped.wait(LONG_S)

    with RawServer(script) as server, Inbox() as inbox:
        sender = sender_to(server, inbox)
        sender.send(1, batch_request("web", [b"{}"]))
        assert inbox.next_response().status == 207
        began = time.monotonic()
        sender.send(2, batch_request("web", [b"x" * size], 0.4))
        reply = inbox.next_response()

        assert reply.fault is Fault.TIMEOUT
        assert text in reply.error
        assert 0.3 < time.monotonic() - began < 2
        sender.close()


def test_what_is_under_way_at_the_end_is_closed() -> None:
    """`close` ends every connection, those too that still wait for a response."""
    closed = threading.Barrier(3)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.request()
        assert peer.read(1) == b""
        closed.wait(LONG_S)

    with RawServer(script) as server, Inbox() as inbox:
        sender = sender_to(server, inbox)
        for n in range(2):
            sender.send(n, batch_request("web", [b"{}"]))
        assert inbox.statuses(2) == [207] * 2
        sender.send(3, batch_request("web", [b"{}"]))
        assert inbox.take(0.05) == []
        sender.close()
        closed.wait(LONG_S)
        sender.send(4, batch_request("web", [b"{}"]))

        assert inbox.next(0.1) is None
