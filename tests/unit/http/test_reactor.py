"""The queue where replies arrive, and the sockets that the same thread watches."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE

import pytest

from bridge.http.reactor import Reactor

LONG_S = 10.0
Pairs = Callable[[int], list[tuple[socket.socket, socket.socket]]]


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with Reactor() as running:
        yield running


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Makes pairs of connected sockets, and closes them at the end."""
    open_pairs: list[tuple[socket.socket, socket.socket]] = []

    def make(count: int) -> list[tuple[socket.socket, socket.socket]]:
        open_pairs.extend(socket.socketpair() for _ in range(count))
        return open_pairs[-count:]

    yield make
    for pair in open_pairs:
        for each in pair:
            each.close()


def test_replies_come_in_order_and_nobody_waits_for_more(reactor: Reactor) -> None:
    """All that has arrived is taken at once; `take` returns nothing only after its time-out."""
    for n in range(5):
        reactor.put(n, str(n))

    assert list(reactor.take(LONG_S)) == [(n, str(n)) for n in range(5)]
    began = time.monotonic()
    assert reactor.take(0.0) == []
    assert reactor.take(0.05) == []
    assert 0.04 < time.monotonic() - began < LONG_S / 2


def test_another_thread_wakes_the_one_that_waits(reactor: Reactor) -> None:
    """Each reply is taken once and without delay, whatever the order in which the two threads run."""
    tickets: list[object] = []
    pause = threading.Event()

    def put() -> None:
        for n in range(300):
            reactor.put(n, None)
            if n % 3 == 0:
                pause.wait(0.001)

    thread = threading.Thread(target=put)
    began = time.monotonic()
    thread.start()
    while len(tickets) < 300 and time.monotonic() - began < LONG_S:
        tickets += [ticket for ticket, _ in reactor.take(LONG_S)]
    thread.join()

    assert tickets == list(range(300))
    assert time.monotonic() - began < LONG_S / 2


def test_a_function_to_call_is_no_reply(reactor: Reactor) -> None:
    """It runs on the thread that takes, and what it puts is taken with the rest."""
    thread_ids: list[int] = []

    def function() -> None:
        thread_ids.append(threading.get_ident())
        reactor.put("from", "within")

    other = threading.Thread(target=reactor.call, args=(function,))
    other.start()
    other.join()

    assert list(reactor.take(LONG_S)) == [("from", "within")]
    assert thread_ids == [threading.get_ident()]


def test_a_socket_is_watched_until_it_is_unwatched(reactor: Reactor) -> None:
    """Its callback runs each time it is ready; a later watch replaces it; a closed one can be unwatched."""
    received: list[bytes | str] = []
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    fileno = ours.fileno()

    def read(timed_out: bool) -> None:
        received.append("time-out" if timed_out else ours.recv(100))

    def write(timed_out: bool) -> None:
        received.append("time-out" if timed_out else "writable")

    reactor.watch(fileno, EVENT_READ, time.monotonic() + LONG_S, read)
    for text in (b"one", b"two"):
        theirs.send(text)
        reactor.take(LONG_S)
    assert received == [b"one", b"two"]
    reactor.watch(fileno, EVENT_WRITE, time.monotonic() + LONG_S, write)
    reactor.take(LONG_S)
    assert received.pop() == "writable"
    ours.close()
    reactor.unwatch(fileno)
    reactor.unwatch(fileno)
    theirs.close()

    assert reactor.take(0.01) == []
    assert received == [b"one", b"two"]


def test_a_number_that_another_socket_has_now_can_be_watched(reactor: Reactor, pairs: Pairs) -> None:
    """The system gives a closed socket's number to the next one, which must not inherit anything."""
    calls: list[str] = []
    [(successor, sender)] = pairs(1)
    ours, theirs = socket.socketpair()
    fileno = ours.fileno()
    reactor.watch(fileno, EVENT_READ, time.monotonic() + LONG_S, lambda _: calls.append("old"))
    ours.close()
    reactor.unwatch(fileno)
    theirs.close()
    os.dup2(successor.fileno(), fileno)
    reactor.watch(fileno, EVENT_READ, time.monotonic() + LONG_S, lambda _: calls.append("new"))
    sender.send(b"x")
    reactor.take(LONG_S)
    reactor.unwatch(fileno)
    os.close(fileno)

    assert calls == ["new"]


def test_a_deadline_passes(reactor: Reactor, pairs: Pairs) -> None:
    """Its callback learns so, once and in time, and no other one does; an event that came by then counts."""
    calls: list[tuple[int, bool]] = []
    sockets = pairs(3)
    began = time.monotonic()
    for n, seconds in enumerate((0.05, LONG_S, 0.1)):
        fileno = sockets[n][0].fileno()

        def callback(timed_out: bool, n: int = n, fileno: int = fileno) -> None:
            calls.append((n, timed_out))
            reactor.unwatch(fileno)

        reactor.watch(fileno, EVENT_READ, began + seconds, callback)
    reactor.take(LONG_S)
    assert calls == [(0, True)]
    assert 0.04 < time.monotonic() - began < LONG_S / 2
    sockets[2][1].send(b"x")
    time.sleep(0.1)  # its deadline has passed too, but it has something to read
    reactor.take(LONG_S)

    assert calls == [(0, True), (2, False)]
    sockets[1][1].send(b"x")
    reactor.take(LONG_S)
    assert calls == [(0, True), (2, False), (1, False)]


@pytest.mark.parametrize("late", [False, True], ids=["ready together", "late together"])
def test_a_callback_may_end_another_watch(reactor: Reactor, pairs: Pairs, *, late: bool) -> None:
    """The other callback does not run any more: its exchange has ended, and can't be resumed."""
    calls: list[bool] = []
    sockets = pairs(2)
    filenos = [ours.fileno() for ours, _ in sockets]

    def callback(timed_out: bool) -> None:
        calls.append(timed_out)
        for fileno in filenos:
            reactor.unwatch(fileno)

    for fileno, (_, theirs) in zip(filenos, sockets, strict=True):
        reactor.watch(fileno, EVENT_READ, time.monotonic() + (0.0 if late else LONG_S), callback)
        if not late:
            theirs.send(b"x")
    reactor.take(LONG_S)

    assert calls == [late]


def test_an_ended_watch_leaves_no_deadline(reactor: Reactor, pairs: Pairs) -> None:
    """`take` waits although the deadline has passed: the loop would not rest while AEP is away."""
    [(ours, _)] = pairs(1)
    reactor.watch(ours.fileno(), EVENT_READ, time.monotonic() + 0.01, lambda _: None)
    reactor.unwatch(ours.fileno())
    time.sleep(0.02)
    began = time.monotonic()
    for _ in range(5):
        reactor.take(0.02)

    assert time.monotonic() - began > 0.09


def open_files() -> set[str]:
    return {file.name for file in Path("/dev/fd").iterdir()}


def test_close_frees_every_file(pairs: Pairs) -> None:
    """A process may build many services one after another, as tests do; none may leave open files."""
    [(ours, _)] = pairs(1)
    before = open_files()
    reactor = Reactor()
    reactor.watch(ours.fileno(), EVENT_READ, time.monotonic() + LONG_S, lambda _: None)
    reactor.close()
    reactor.close()

    assert open_files() == before


def test_late_replies_do_no_harm_after_close(pairs: Pairs) -> None:
    """A thread that carries a slow request, or Kafka's, may still put a reply while the process ends."""
    [(ours, _)] = pairs(1)
    reactor = Reactor()
    reactor.watch(ours.fileno(), EVENT_READ, time.monotonic() + LONG_S, lambda _: None)
    reactor.close()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.dup2(writer, reactor._wake_writer)  # the system has given the closed pipe's number to another file
    reactor._waiting = True  # as the thread may have read it just before `close`
    reactor.put("ticket", "reply")
    reactor.call(lambda: None)
    reactor.unwatch(ours.fileno())

    with pytest.raises(BlockingIOError):  # nothing was written there
        os.read(reader, 1)
    for number in {reader, writer, reactor._wake_writer}:
        os.close(number)
