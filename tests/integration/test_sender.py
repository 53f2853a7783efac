"""The sender over real sockets: what goes out, and what each outcome becomes."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from bridge import __version__
from bridge.aep.sender import Endpoint, HttpSender
from bridge.codec.request import body_size
from bridge.http.connection import HttpConnection
from bridge.http.oauth import TokenSource
from bridge.http.reactor import Reactor
from bridge.model import BatchRequest, BatchResponse, Fault
from tests.support.proxy import ProxyServer
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, Request, response

LONG = 10.0
SECRET = "p8e-VerySecretIndeed"  # noqa: S105 - of nobody


class Inbox(Reactor):
    """Completions for a test, one by one."""

    def __init__(self) -> None:
        super().__init__()
        self._here: deque[tuple[object, object]] = deque()

    def next(self, timeout_s: float = LONG) -> tuple[object, object] | None:
        """The next ticket and reply, or None where nothing comes in time."""
        until = time.monotonic() + timeout_s
        while not self._here and (left := until - time.monotonic()) > 0:
            self._here += self.take(left)
        return self._here.popleft() if self._here else None

    def one(self) -> BatchResponse:
        found = self.next()
        assert found is not None
        assert isinstance(found[1], BatchResponse)
        return found[1]


def always(data: bytes, seen: list[Request] | None = None) -> Callable[[Peer], object]:
    def script(peer: Peer) -> None:
        while request := peer.request():
            if seen is not None:
                seen.append(request)
            peer.send(data)

    return script


def tokens(server: RawServer) -> TokenSource:
    client = httpx.Client(transport=HttpConnection(proxy=""), trust_env=False)
    return TokenSource(url=server.url, client_id="me", secret=lambda: SECRET, scope="openid", client=client)


def post(inlet: str, pieces: list[bytes], timeout_s: float) -> BatchRequest:
    return BatchRequest(inlet, pieces, timeout_s, body_size(pieces))


def carry(inlet: Endpoint, timeout_s: float = LONG, **more: int) -> BatchResponse:
    inbox = Inbox()
    sender = HttpSender({"web": inlet}, inbox, max_response_bytes=more.get("cap", 1 << 20))
    sender.send(1, post("web", [b'{"a":1}', b'{"b":2}'], timeout_s))
    reply = inbox.one()
    sender.close()
    return reply


def test_what_goes_out_and_what_comes_back() -> None:
    """The pieces are joined as they are, the headers are the configured ones and ours; the answer's names are in lower case."""
    seen: list[Request] = []
    issued = response(200, b'{"access_token":"the-token","expires_in":"86399"}')
    with (
        RawServer(always(response(207, RESPONSE_207, "X-Request-Id: 7"), seen)) as server,
        RawServer(always(issued)) as ims,
    ):
        reply = carry(Endpoint("web", server.url, {"x-sandbox-name": "prod"}, tokens(ims), ""))

        assert (207, RESPONSE_207, None, "7") == (
            reply.status,
            reply.body,
            reply.fault,
            reply.headers["x-request-id"],
        )
        assert seen[0].body == b'{"messages":[{"a":1},{"b":2}]}'
        wanted = {
            "content-type": "application/json",
            "authorization": "bearer the-token",
            "x-sandbox-name": "prod",
            "user-agent": f"aep-bridge/{__version__}",
        }
        assert wanted.items() <= seen[0].headers.items()


def test_a_refused_token() -> None:
    """401 for a token that had been accepted says so, and the next request carries another; for a fresh one it doesn't."""
    given: list[Request] = []

    def ims(peer: Peer) -> None:
        while request := peer.request():
            given.append(request)
            peer.send(response(200, b'{"access_token":"token-%d"}' % len(given)))

    answers = [response(), response(401, b"{}"), response(403, b"")]
    seen: list[Request] = []

    def aep(peer: Peer) -> None:
        while request := peer.request():
            seen.append(request)
            peer.send(answers[len(seen) - 1])

    with RawServer(aep) as server, RawServer(ims) as issuer:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, token=tokens(issuer), proxy="")}, inbox)
        replies = []
        for _ in range(3):
            sender.send(1, post("web", [b"{}"], LONG))
            replies.append(inbox.one())

        assert [(207, False), (401, True), (403, False)] == [(r.status, r.token_was_good) for r in replies]
        assert ["bearer token-1", "bearer token-1", "bearer token-2"] == [
            r.headers["authorization"] for r in seen
        ]


def test_faults() -> None:
    """A time-out, a huge answer, half an answer and a closed port are each the fault that they are."""

    def half(peer: Peer) -> None:
        peer.request()
        peer.send(response()[:-3])

    cases: list[tuple[Callable[[Peer], object], Fault, str]] = [
        (lambda peer: peer.drip(response(207, b" " * 9999)), Fault.TIMEOUT, "waiting for the response"),
        (always(response(207, b" " * 99_999)), Fault.OVERSIZE, "larger than 50000 bytes"),
        (half, Fault.CONNECTION, "within its response"),
    ]  # fmt: skip
    for script, fault, text in cases:
        with RawServer(script) as server:
            reply = carry(Endpoint("web", server.url, proxy=""), 0.5, cap=50_000)

            assert (fault, 0) == (reply.fault, reply.status)
            assert text in reply.error
    reply = carry(Endpoint("web", server.url, proxy=""))

    assert (Fault.CONNECTION, True) == (reply.fault, "refused" in reply.error)


def test_no_token_no_request() -> None:
    """When IMS refuses, nothing is sent to AEP, and the fault carries what IMS said, but not the secret that it echoed."""
    body = b'{"error":"invalid_client","error_description":"invalid client_secret %b"}' % SECRET.encode()
    with RawServer(always(response())) as server, RawServer(always(response(400, body))) as ims:
        reply = carry(Endpoint("web", server.url, token=tokens(ims), proxy=""))

        assert (reply.fault, server.connections) == (Fault.CREDENTIALS, 0)
        assert "400: invalid_client: invalid client_secret" in reply.error
        assert SECRET not in repr(reply)


def test_no_secret_in_an_error() -> None:
    """Neither a proxy's password, nor a header's value, nor the endpoint's repr shows what is secret."""
    with ProxyServer("user:right") as proxy:
        inlet = Endpoint(
            "web",
            "https://aep.example/collection/batch/x",
            {"x-api-key": SECRET},
            proxy=proxy.address("user:hidden"),
        )
        reply = carry(inlet)

        assert reply.fault is Fault.CONNECTION
        for shown in (repr(inlet), repr(reply)):
            assert "hidden" not in shown
            assert SECRET not in shown


@pytest.mark.parametrize("bad", ["\u2713", "\r\nX: y", "\0"])
def test_a_header_that_can_not_be_sent(bad: str) -> None:
    """It is refused at start; the text names the header and not its value."""
    with pytest.raises(ValueError, match="the header 'x-api-key' of inlet 'web'") as caught:
        HttpSender(
            {"web": Endpoint("web", "http://localhost:1/", {"x-api-key": f"{SECRET}{bad}"}, proxy="")},
            Inbox(),
        )

    assert SECRET not in str(caught.value)


def test_a_dead_inlet_starves_no_other() -> None:
    """Neither does its silence, nor what is still being written to it, keep an answer of another inlet waiting."""

    def answers_once(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.stopped.wait(LONG)

    with RawServer(answers_once) as dead, RawServer(always(response())) as good:
        inbox = Inbox()
        sender = HttpSender(
            {"dead": Endpoint("dead", dead.url, proxy=""), "good": Endpoint("good", good.url, proxy="")},
            inbox,
        )
        for _ in range(5):
            sender.send("dead", post("dead", [b"{}"], LONG))
        assert [207] * 5 == [inbox.one().status for _ in range(5)]
        for _ in range(5):  # over connections that are open, of which nobody reads
            sender.send("dead", post("dead", [b"x" * 9_000_000], LONG))
        sender.send("good", post("good", [b"{}"], LONG))

        found = inbox.next(LONG / 2)
        assert found is not None
        assert "good" == found[0]


def threads(inlet: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"sender-{inlet}"]


def test_only_a_new_connection_takes_a_thread() -> None:
    """One request after another uses one connection, and goes out on the thread that sends; many at once have one each. All are answered."""
    with RawServer(always(response())) as server:
        inbox = Inbox()
        sender = HttpSender({"lazy": Endpoint("lazy", server.url, proxy="")}, inbox)
        sender.send(0, post("lazy", [b"{}"], LONG))
        started = threads("lazy")
        assert 207 == inbox.one().status
        assert 1 == len(started)
        started[0].join(LONG)
        for _ in range(5):
            sender.send(0, post("lazy", [b"x" * 5_000_000], LONG))
            assert [] == threads("lazy")
            assert 207 == inbox.one().status

        assert server.connections == 1
        for n in range(9):
            sender.send(n, post("lazy", [b"x" * 100_000], LONG))

        assert [207] * 9 == [inbox.one().status for _ in range(9)]
        assert server.connections == 9
        sender.close()


def test_nobody_waits_for_a_token() -> None:
    """While IMS is silent the thread that sends goes on, and a request with a token at hand is answered."""
    asked = threading.Event()

    def silent(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.stopped.wait(LONG)

    with (
        RawServer(always(response())) as server,
        RawServer(silent) as ims,
        RawServer(always(response(200, b'{"access_token":"t"}'))) as issuer,
    ):
        inbox = Inbox()
        waits = Endpoint("waits", server.url, token=tokens(ims), proxy="")
        sender = HttpSender(
            {"waits": waits, "good": Endpoint("good", server.url, token=tokens(issuer), proxy="")}, inbox
        )
        began = time.monotonic()
        sender.send("waits", post("waits", [b"{}"], 2.0))
        assert asked.wait(LONG)
        for _ in range(3):
            sender.send("good", post("good", [b"{}"], LONG))
            found = inbox.next()
            assert found is not None
            assert "good" == found[0]

        assert time.monotonic() - began < 2.0
        assert inbox.one().fault is Fault.CREDENTIALS
        sender.close()


def test_an_idle_connection_that_the_peer_closes() -> None:
    """Is closed on our side too, without waiting for the next request, which opens another."""
    closed = threading.Event()

    def once(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        if not peer.stopped.wait(0.2):
            peer.sock.shutdown(socket.SHUT_WR)
            if peer.read(1) == b"":
                closed.set()

    with RawServer(once) as server:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        for _ in range(2):
            sender.send(1, post("web", [b"{}"], LONG))
            assert 207 == inbox.one().status
            until = time.monotonic() + LONG
            while not closed.is_set() and time.monotonic() < until:
                assert [] == inbox.take(0.05)
            assert closed.is_set()
            closed.clear()

        assert server.connections == 2
        sender.close()


def test_the_connection_that_became_idle_last_goes_first() -> None:
    """After a burst the few requests that follow keep to one connection: the others' may end when they have been idle for long."""
    served: list[int] = []
    meet = threading.Barrier(3)

    def script(peer: Peer) -> None:
        if peer.request():
            meet.wait(LONG)  # the burst: all three are under way at once
            peer.send(response())
        while peer.request():
            served.append(id(peer))
            peer.send(response())

    with RawServer(script) as server:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        for n in range(3):
            sender.send(n, post("web", [b"{}"], LONG))
        assert [207] * 3 == [inbox.one().status for _ in range(3)]
        for n in range(9):
            sender.send(n, post("web", [b"{}"], LONG))
            assert inbox.one().status == 207
        sender.close()

        assert (3, 1, 9) == (server.connections, len(set(served)), len(served))


def test_nothing_is_kept_of_what_was_answered() -> None:
    """A connection that waits holds none of its earlier work, its first included: eight of them would hold eight megabytes."""

    class Ticket:
        """Can be referred to weakly."""

    with RawServer(always(response())) as server:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        tickets = [Ticket() for _ in range(3)]
        gone = [weakref.ref(ticket) for ticket in tickets]
        while tickets:
            sender.send(tickets.pop(), post("web", [b"{}"], LONG))
        assert [207] * 3 == [inbox.one().status for _ in range(3)]
        until = time.monotonic() + LONG
        while any(ref() for ref in gone) and time.monotonic() < until:
            time.sleep(0.01)

        assert [None] * 3 == [ref() for ref in gone]
        sender.close()


def test_what_nobody_expected() -> None:
    """Still leaves an answer, and is told."""
    crashes: list[BaseException] = []
    broken: Any = ["not bytes"]

    with RawServer(always(response())) as server:
        inbox = Inbox()
        sender = HttpSender(
            {"web": Endpoint("web", server.url, proxy="")},
            inbox,
            on_crash=lambda _, error: crashes.append(error),
        )
        sender.send(1, post("web", [b"{}"], LONG))
        assert inbox.one().status == 207
        for _ in range(2):  # over the connection that is open, and over one that is opened for it
            sender.send(2, BatchRequest("web", broken, LONG, 25))
            reply = inbox.one()

            assert (Fault.CONNECTION, True) == (reply.fault, reply.error.startswith("unexpected: TypeError"))
        assert [TypeError] * 2 == [type(error) for error in crashes]


def test_what_can_not_even_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread to be had, or a proxy's URL that is none: the request comes back as a fault, and goes out once that is over."""

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    crashes: list[BaseException] = []
    proxy = [""]
    with RawServer(always(response())) as server:
        inbox = Inbox()
        sender = HttpSender(
            {"web": Endpoint("web", server.url, proxy=lambda: proxy[0])},
            inbox,
            on_crash=lambda _, error: crashes.append(error),
        )
        with monkeypatch.context() as patch:
            patch.setattr("bridge.http.connection_pool.Thread", NoThread)
            sender.send(1, post("web", [b"{}"], LONG))
            assert "can't start new thread" in inbox.one().error
        proxy[0] = "http://300.1.1.1:3128"
        sender.send(2, post("web", [b"{}"], LONG))
        assert inbox.one().fault is Fault.CONNECTION
        proxy[0] = ""
        sender.send(3, post("web", [b"{}"], LONG))

        assert 207 == inbox.one().status
        assert [RuntimeError, ValueError] == [type(error) for error in crashes]


def test_a_wait_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps a thread from waiting for its answer, its request comes back."""

    def fails(*_: object) -> None:
        raise MemoryError

    with RawServer(always(response())) as server:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        monkeypatch.setattr("bridge.http.non_blocking.wait_until_ready", fails)
        sender.send(1, post("web", [b"{}"], LONG))

        assert "unexpected: MemoryError" in inbox.one().error


def test_a_connection_that_ended_is_not_in_the_way_of_one_that_is_there() -> None:
    """The request that follows goes out at once, over that one."""
    closes = threading.Event()
    meet = threading.Barrier(2)

    def script(peer: Peer) -> None:
        peer.request()
        meet.wait(LONG)
        peer.send(response())
        while peer.request():
            if not closes.is_set():
                closes.set()
                peer.send(response(207, RESPONSE_207, "Connection: close"))
                return
            peer.send(response())

    with RawServer(script) as server:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        for n in range(2):
            sender.send(n, post("web", [b"{}"], LONG))
        assert [207] * 2 == [inbox.one().status for _ in range(2)]
        for n in range(3):
            sender.send(n, post("web", [b"{}"], LONG))
            assert 207 == inbox.one().status

        assert server.connections == 2
        sender.close()


def test_what_could_not_be_sent_is_let_go() -> None:
    """At once, not when the collector happens to come by: a megabyte for each request that fails would add up while AEP is away."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.stopped.wait(0.2)
        peer.reset()

    def held() -> int:
        return sum(
            each.nbytes
            for each in gc.get_objects()
            if isinstance(each, memoryview) and each.nbytes > 1_000_000
        )

    with RawServer(script) as server:
        inbox = Inbox()
        gc.collect()
        gc.disable()
        try:
            sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
            for timeout_s in (0.05, LONG):
                sender.send(1, post("web", [b"{}"], LONG))
                assert inbox.one().status == 207
                sender.send(2, post("web", [b"x" * 30_000_000], timeout_s))
                assert inbox.one().fault in (Fault.CONNECTION, Fault.TIMEOUT)

                assert 0 == held()
        finally:
            gc.enable()
        sender.close()


def test_an_answer_that_is_slow_in_coming_ends_at_its_deadline() -> None:
    """Over a connection that was there as over a new one, while writing and while reading."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.stopped.wait(LONG)

    with RawServer(script) as server:
        for size, text in ((2, "waiting for the response"), (50_000_000, "sending to")):
            inbox = Inbox()
            sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
            sender.send(1, post("web", [b"{}"], LONG))
            assert inbox.one().status == 207
            began = time.monotonic()
            sender.send(2, post("web", [b"x" * size], 0.4))
            reply = inbox.one()

            assert (Fault.TIMEOUT, True) == (reply.fault, text in reply.error)
            assert 0.3 < time.monotonic() - began < 2
            sender.close()


def test_what_is_under_way_at_the_end_is_closed() -> None:
    """`close` lets go of every connection, of those too that still wait for an answer."""
    gone = threading.Barrier(3)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(response())
        peer.request()
        assert peer.read(1) == b""
        gone.wait(LONG)

    with RawServer(script) as server:
        inbox = Inbox()
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        for n in range(2):
            sender.send(n, post("web", [b"{}"], LONG))
        assert [207] * 2 == [inbox.one().status for _ in range(2)]
        sender.send(3, post("web", [b"{}"], LONG))
        assert [] == inbox.take(0.05)
        sender.close()
        gone.wait(LONG)
        sender.send(4, post("web", [b"{}"], LONG))

        assert inbox.next(0.1) is None


@pytest.mark.parametrize("more", [{"proxy": "socks5://host"}, {"ca_file": "nowhere.pem"}])
def test_what_can_not_work_is_refused_at_start(more: dict[str, str]) -> None:
    """A proxy of another kind and a missing file are errors before the first request."""
    with pytest.raises((ValueError, OSError)):
        HttpSender({"web": Endpoint("web", "https://aep.example/", **more)}, Inbox())  # type: ignore[arg-type]
