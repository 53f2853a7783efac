"""The queue where replies arrive, and the sockets that are looked after meanwhile."""

from __future__ import annotations

import selectors
import socket
import threading
import time

from bridge.http.reactor import Reactor

LONG = 10.0


def test_replies_come_in_order_and_nobody_waits_for_more() -> None:
    """Everything that is there is taken at once; with nothing there, nothing comes, after the time that was given."""
    completions = Reactor()
    for n in range(5):
        completions.put(n, str(n))

    assert [(n, str(n)) for n in range(5)] == list(completions.take(LONG))
    began = time.monotonic()
    assert [] == completions.take(0.0)
    assert [] == completions.take(0.05)
    assert 0.04 < time.monotonic() - began < LONG / 2


def test_another_thread_wakes_the_one_that_waits() -> None:
    """Again and again; each reply is taken once, however the two meet."""
    completions, found = Reactor(), []
    pause = threading.Event()

    def put() -> None:
        for n in range(300):
            completions.put(n, None)
            if n % 3 == 0:
                pause.wait(0.001)

    thread = threading.Thread(target=put)
    began = time.monotonic()
    thread.start()
    while len(found) < 300 and time.monotonic() - began < LONG:
        found += [ticket for ticket, _ in completions.take(LONG)]
    thread.join()

    assert list(range(300)) == found
    assert time.monotonic() - began < LONG / 2


def test_what_is_called_is_no_reply() -> None:
    """It runs on the thread that takes, and what it puts is taken with the rest."""
    completions, ran = Reactor(), []

    def call() -> None:
        ran.append(threading.get_ident())
        completions.put("from", "within")

    other = threading.Thread(target=completions.call, args=(call,))
    other.start()
    other.join()

    assert [("from", "within")] == list(completions.take(LONG))
    assert [threading.get_ident()] == ran


def test_a_socket_is_watched_until_it_is_forgotten() -> None:
    """Each time that something is there to read; what is watched for anew counts from then on; a closed socket can be forgotten."""
    completions, ours = Reactor(), []
    here, there = socket.socketpair()
    here.setblocking(False)
    fileno = here.fileno()

    def read(late: bool) -> None:
        ours.append(late or here.recv(100))

    completions.watch(fileno, selectors.EVENT_READ, time.monotonic() + LONG, read)
    for text in (b"one", b"two"):
        there.send(text)
        completions.take(LONG)
    assert [b"one", b"two"] == ours
    completions.watch(
        fileno,
        selectors.EVENT_WRITE,
        time.monotonic() + LONG,
        lambda late: ours.append("writes" if not late else "late"),
    )
    completions.take(LONG)
    assert "writes" == ours.pop()
    here.close()
    completions.unwatch(fileno)
    completions.unwatch(fileno)
    there.close()

    assert [] == completions.take(0.01)
    assert [b"one", b"two"] == ours


def test_time_is_up() -> None:
    """Who is too late is told so, once, in time, and nobody else; what has come by then counts as come."""
    completions, told = Reactor(), []
    pairs = [socket.socketpair() for _ in range(3)]
    began = time.monotonic()
    for n, seconds in enumerate((0.05, LONG, 0.1)):
        fileno = pairs[n][0].fileno()

        def go_on(late: bool, n: int = n, fileno: int = fileno) -> None:
            told.append((n, late))
            completions.unwatch(fileno)

        completions.watch(fileno, selectors.EVENT_READ, began + seconds, go_on)
    completions.take(LONG)
    assert [(0, True)] == told
    assert 0.04 < time.monotonic() - began < LONG / 2
    pairs[2][1].send(b"x")
    time.sleep(0.1)  # its time is up too, but it has something to read
    completions.take(LONG)

    assert [(0, True), (2, False)] == told
    pairs[1][1].send(b"x")
    completions.take(LONG)
    assert [(0, True), (2, False), (1, False)] == told
    for pair in pairs:
        for each in pair:
            each.close()


def test_two_that_answer_together() -> None:
    """One of them may end the watch over the other."""
    completions, told = Reactor(), []
    pairs = [socket.socketpair() for _ in range(2)]
    filenos = [pair[0].fileno() for pair in pairs]

    def go_on(late: bool) -> None:
        told.append(late)
        for fileno in filenos:
            completions.unwatch(fileno)

    for fileno, (_, there) in zip(filenos, pairs, strict=True):
        completions.watch(fileno, selectors.EVENT_READ, time.monotonic() + LONG, go_on)
        there.send(b"x")
    completions.take(LONG)

    assert [False] == told
    for pair in pairs:
        for each in pair:
            each.close()


def test_no_hurry_after_what_is_over() -> None:
    """Once nothing is watched, a time that was up long ago is no reason not to wait: the loop would turn and turn while AEP is away."""
    completions = Reactor()
    here, there = socket.socketpair()
    completions.watch(here.fileno(), selectors.EVENT_READ, time.monotonic() + 0.01, lambda late: None)
    completions.unwatch(here.fileno())
    time.sleep(0.02)
    began = time.monotonic()
    for _ in range(5):
        completions.take(0.02)

    assert time.monotonic() - began > 0.09
    here.close()
    there.close()
