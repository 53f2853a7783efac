"""The sender over real sockets: what goes out, and which response or fault comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from bridge import __version__
from bridge.aep.sender import Endpoint, HttpSender
from bridge.http.connection import HttpConnection
from bridge.http.oauth import TokenSource
from bridge.model import BatchRequest, BatchResponse, Fault
from tests.support.proxy import ProxyServer
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, Request, always, once, response
from tests.support.sender import LONG_S, Inbox, batch_request

SECRET = "p8e-VerySecretIndeed"


def tokens(server: RawServer) -> TokenSource:
    client = httpx.Client(transport=HttpConnection(proxy=""), trust_env=False)
    return TokenSource(url=server.url, client_id="me", secret=lambda: SECRET, scope="openid", client=client)


def send_one(
    endpoint: Endpoint, timeout_s: float = LONG_S, max_response_bytes: int = 1 << 20
) -> BatchResponse:
    """Send one request through a sender of its own."""
    with Inbox() as inbox:
        sender = HttpSender({"web": endpoint}, inbox, max_response_bytes=max_response_bytes)
        sender.send(1, batch_request("web", [b'{"a":1}', b'{"b":2}'], timeout_s))
        reply = inbox.next_response()
        sender.close()
        return reply


def test_what_goes_out_and_what_comes_back() -> None:
    """The pieces are joined unchanged, configured headers join ours, and names come back in lower case."""
    requests: list[Request] = []
    issued = response(200, b'{"access_token":"the-token","expires_in":"86399"}')
    with (
        RawServer(always(response(207, RESPONSE_207, "X-Request-Id: 7"), requests)) as server,
        RawServer(always(issued)) as ims,
    ):
        reply = send_one(Endpoint("web", server.url, {"x-sandbox-name": "prod"}, tokens(ims), ""))

    assert (reply.status, reply.body, reply.fault) == (207, RESPONSE_207, None)
    assert reply.headers["x-request-id"] == "7"
    assert requests[0].body == b'{"messages":[{"a":1},{"b":2}]}'
    headers = {
        "content-type": "application/json",
        "authorization": "bearer the-token",
        "x-sandbox-name": "prod",
        "user-agent": f"aep-bridge/{__version__}",
    }
    assert headers.items() <= requests[0].headers.items()


def test_a_refused_token() -> None:
    """A 401 for a token that AEP had accepted brings another token; one for a fresh token does not."""
    token_requests: list[Request] = []

    def ims(peer: Peer) -> None:
        while request := peer.request():
            token_requests.append(request)
            peer.send(response(200, b'{"access_token":"token-%d"}' % len(token_requests)))

    responses = [response(), response(401, b"{}"), response(403, b"")]
    requests: list[Request] = []

    def aep(peer: Peer) -> None:
        while request := peer.request():
            requests.append(request)
            peer.send(responses[len(requests) - 1])

    with RawServer(aep) as server, RawServer(ims) as issuer, Inbox() as inbox:
        sender = HttpSender({"web": Endpoint("web", server.url, token=tokens(issuer), proxy="")}, inbox)
        replies = []
        for _ in range(3):
            sender.send(1, batch_request("web", [b"{}"]))
            replies.append(inbox.next_response())
        sender.close()

    judged = [(reply.status, reply.token_was_good) for reply in replies]
    assert judged == [(207, False), (401, True), (403, False)]
    authorizations = [request.headers["authorization"] for request in requests]
    assert authorizations == ["bearer token-1", "bearer token-1", "bearer token-2"]


def test_faults() -> None:
    """A time-out, a huge response, half a response and a closed port are each the fault that they are."""

    def half(peer: Peer) -> None:
        peer.send(response()[:-3])

    dripping = once(lambda peer: peer.drip(response(207, b" " * 9999)))
    cases: list[tuple[Callable[[Peer], object], Fault, str]] = [
        (dripping, Fault.TIMEOUT, "waiting for the response"),
        (always(response(207, b" " * 99_999)), Fault.OVERSIZE, "larger than 50000 bytes"),
        (once(half), Fault.CONNECTION, "within its response"),
    ]
    for script, fault, text in cases:
        with RawServer(script) as server:
            reply = send_one(Endpoint("web", server.url, proxy=""), 0.5, max_response_bytes=50_000)

            assert (reply.fault, reply.status) == (fault, 0)
            assert text in reply.error
    reply = send_one(Endpoint("web", server.url, proxy=""))

    assert reply.fault is Fault.CONNECTION
    assert "refused" in reply.error


def test_no_token_no_request() -> None:
    """When IMS refuses, nothing is sent to AEP; the fault carries what IMS said, but not the secret in it."""
    body = b'{"error":"invalid_client","error_description":"invalid client_secret %b"}' % SECRET.encode()
    with RawServer(always(response())) as server, RawServer(always(response(400, body))) as ims:
        reply = send_one(Endpoint("web", server.url, token=tokens(ims), proxy=""))

        assert (reply.fault, server.connections) == (Fault.CREDENTIALS, 0)
        assert "400: invalid_client: invalid client_secret" in reply.error
        assert SECRET not in repr(reply)


def test_no_secret_in_an_error() -> None:
    """Neither a proxy's password, nor a header's value, nor the endpoint's repr shows what is secret."""
    with ProxyServer("user:right") as proxy:
        url = "https://aep.example/collection/batch/x"
        endpoint = Endpoint("web", url, {"x-api-key": SECRET}, proxy=proxy.address("user:hidden"))
        reply = send_one(endpoint)

        assert reply.fault is Fault.CONNECTION
        for shown in (repr(endpoint), repr(reply)):
            assert "hidden" not in shown
            assert SECRET not in shown


@pytest.mark.parametrize("bad", ["\u2713", "\r\nX: y", "\0"])
def test_a_header_that_can_not_be_sent(bad: str) -> None:
    """It is refused at start; the text names the header and not its value."""
    endpoint = Endpoint("web", "http://localhost:1/", {"x-api-key": f"{SECRET}{bad}"}, proxy="")
    with pytest.raises(ValueError, match="the header 'x-api-key' of inlet 'web'") as caught, Inbox() as inbox:
        HttpSender({"web": endpoint}, inbox)

    assert SECRET not in str(caught.value)


def test_an_unexpected_error() -> None:
    """The request still gets a response, and the crash is reported to the hook."""
    crashes: list[BaseException] = []
    broken: Any = ["not bytes"]

    with RawServer(always(response())) as server, Inbox() as inbox:
        endpoint = Endpoint("web", server.url, proxy="")
        sender = HttpSender({"web": endpoint}, inbox, on_crash=lambda _, error: crashes.append(error))
        sender.send(1, batch_request("web", [b"{}"]))
        assert inbox.next_response().status == 207
        for _ in range(2):  # over the connection that is open, and over one that is opened for it
            sender.send(2, BatchRequest("web", broken, LONG_S, 25))
            reply = inbox.next_response()

            assert reply.fault is Fault.CONNECTION
            assert reply.error.startswith("unexpected: TypeError")
        assert [type(error) for error in crashes] == [TypeError] * 2
        sender.close()


def test_a_request_that_can_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread, or with a wrong proxy, the request comes back as a fault; later ones are sent."""

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    crashes: list[BaseException] = []
    proxy = [""]
    with RawServer(always(response())) as server, Inbox() as inbox:
        endpoint = Endpoint("web", server.url, proxy=lambda: proxy[0])
        sender = HttpSender({"web": endpoint}, inbox, on_crash=lambda _, error: crashes.append(error))
        with monkeypatch.context() as patch:
            patch.setattr("bridge.http.connection_pool.Thread.start", no_thread)
            sender.send(1, batch_request("web", [b"{}"]))
            assert "can't start new thread" in inbox.next_response().error
        proxy[0] = "http://300.1.1.1:3128"
        sender.send(2, batch_request("web", [b"{}"]))
        assert inbox.next_response().fault is Fault.CONNECTION
        proxy[0] = ""
        sender.send(3, batch_request("web", [b"{}"]))

        assert inbox.next_response().status == 207
        assert [type(error) for error in crashes] == [RuntimeError, ValueError]
        sender.close()


def test_a_wait_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps a thread from waiting for its response, its request comes back."""

    def fails(*_: object) -> None:
        raise MemoryError

    with RawServer(always(response())) as server, Inbox() as inbox:
        sender = HttpSender({"web": Endpoint("web", server.url, proxy="")}, inbox)
        monkeypatch.setattr("bridge.http.non_blocking.wait_until_ready", fails)
        sender.send(1, batch_request("web", [b"{}"]))

        assert "unexpected: MemoryError" in inbox.next_response().error
        sender.close()


@pytest.mark.parametrize("setting", [{"proxy": "socks5://host"}, {"ca_file": "nowhere.pem"}])
def test_what_can_not_work_is_refused_at_start(setting: dict[str, str]) -> None:
    """A proxy of another kind and a missing file are errors before the first request."""
    endpoint = Endpoint("web", "https://aep.example/", **setting)  # type: ignore[arg-type]
    with pytest.raises((ValueError, OSError)), Inbox() as inbox:
        HttpSender({"web": endpoint}, inbox)
