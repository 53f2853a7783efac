"""The simulator's endpoints over real HTTP: collection, tokens, limits, TLS, accounting."""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trustme

from bridge.simulator import DEFAULT_RAW_INLET, Config, Shape, Simulator

REF = {
    "id": "https://ns.adobe.com/tenant/schemas/1",
    "contentType": "application/vnd.adobe.xed-full+json;version=1",
}
FORM = {
    "client_id": "bridge",
    "client_secret": "secret",
    "grant_type": "client_credentials",
    "scope": "openid",
}


def message(event_id: str, **entity: object) -> dict[str, Any]:
    header = {"schemaRef": REF, "imsOrgId": Config().org, "datasetId": "d1"}
    body = {"xdmMeta": {"schemaRef": REF}, "xdmEntity": {"_id": event_id, **entity}}
    return {"header": header, "body": body}


def batch(*messages: object) -> bytes:
    return msgspec.json.encode({"messages": messages})


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def test_a_batch_is_answered_207_and_counted(sim: Simulator) -> None:
    """Every message has one entry, in order, with the batch id and its index; every id is counted."""
    response = httpx.post(sim.batch_url, content=batch(message("a"), message("b"), message("a")))
    body = response.json()
    ids = [entry["xactionId"] for entry in body["responses"]]

    assert response.status_code == 207
    assert ids == [f"{body['batchId']}:{index}" for index in range(3)]
    assert body["inletId"] == sim.inlet
    assert sim.accepted == {"a": 2, "b": 1}
    assert sim.duplicates == {"a": 2}


def test_a_bad_message_fails_alone(sim: Simulator) -> None:
    """It gets an entry of its own, and the other messages of the batch are accepted."""
    wrong = message("w")
    wrong["header"]["imsOrgId"] = "other"
    content = batch(message("a"), {"hello": 1}, wrong, 7, message("b"))
    entries = httpx.post(sim.batch_url, content=content).json()["responses"]

    assert [entry.get("statusCode", 207) for entry in entries] == [207, 400, 400, 400, 207]
    assert set(sim.accepted) == {"a", "b"}
    assert sim.refused["w", 400] == 1


def test_a_single_message_is_answered_200(sim: Simulator) -> None:
    """The response has one xactionId, and a verdict if the request asks for validation."""
    plain = httpx.post(sim.inlet_url, json=message("a"))
    validated = httpx.post(f"{sim.inlet_url}?syncValidation=true", json=message("b"))
    refused = httpx.post(sim.inlet_url, json={"hello": 1})
    error = "The 'header' field is mandatory. Provide a valid 'header' value and try again."

    assert plain.status_code == 200
    assert "synchronousValidation" not in plain.json()
    assert validated.json()["synchronousValidation"] == {"status": "pass"}
    assert refused.status_code == 400
    assert refused.json()["title"] == "Invalid XDM Message Format"
    assert refused.json()["report"]["message"].endswith(error)


def test_validated_requests_are_limited_per_minute(sim: Simulator) -> None:
    """Adobe means validation for a check before the first delivery, and limits it to 60 a minute."""
    sim.configure({"sync_per_min": 2})
    url = f"{sim.inlet_url}?syncValidation=true"

    assert [httpx.post(url, json=message("b")).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b'{"messages":[]}', b'{"messages":[{"a":1,}]}'])
def test_a_body_that_is_no_batch_is_refused_whole(sim: Simulator, body: bytes) -> None:
    """The refusal is Adobe's problem document, which names no message."""
    response = httpx.post(sim.batch_url, content=body)

    assert response.status_code == 400
    assert response.json()["status"] == 400
    assert response.json()["report"]["message"].endswith("Message has unknown xdm format")


def test_the_limit_is_the_whole_body(sim: Simulator) -> None:
    """1,000,000 bytes pass, one byte more is a 413, and the connection can be used again."""
    bare = len(batch(message("a", pad="")))
    with httpx.Client() as client:
        fits = client.post(sim.batch_url, content=batch(message("a", pad="x" * (1_000_000 - bare))))
        too_large = client.post(sim.batch_url, content=batch(message("a", pad="x" * (1_000_001 - bare))))
        after = client.post(sim.batch_url, content=batch(message("b")))

    assert [fits.status_code, too_large.status_code, after.status_code] == [207, 413, 207]
    assert sim.stats["max_request_bytes"] == 1_000_001


def test_unknown_addresses_are_404_and_other_methods_405(sim: Simulator) -> None:
    """A wrong inlet is a mistake of the configuration, and must not look like a wrong record."""
    assert httpx.post(f"{sim.url}/collection/batch/nobody", content=batch(message("a"))).status_code == 404
    assert httpx.post(f"{sim.url}/elsewhere").status_code == 404
    assert httpx.get(sim.batch_url).status_code == 405


def test_raw_inlets_take_bare_objects_with_a_flow(sim: Simulator) -> None:
    """An event's id is the object's own `_id`; a request without the flow header is refused."""
    url = f"{sim.url}/collection/batch/{DEFAULT_RAW_INLET}"
    without_flow = httpx.post(url, content=batch({"_id": "r"}))
    with_flow = httpx.post(url, content=batch({"_id": "r"}), headers={"x-adobe-flow-id": "f"})

    assert [without_flow.status_code, with_flow.status_code] == [400, 207]
    assert sim.accepted == {"r": 1}
    assert sim.accounting.last_headers["x-adobe-flow-id"] == "f"


def test_a_token_is_valid_until_it_expires_or_is_revoked() -> None:
    """No, a wrong, an expired and a revoked token are 401, with the status as a text as Adobe writes it."""
    with Simulator(Config(require_auth=True, token_ttl_s=1)) as sim:

        def post(token: str | None) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return httpx.post(sim.batch_url, content=batch(message("a")), headers=headers)

        without = post(None)
        token = httpx.post(sim.token_url, data=FORM).json()["access_token"]
        good = post(token)
        time.sleep(1.05)
        expired = post(token)
        sim.configure({"token_ttl_s": 100})
        second = httpx.post(sim.token_url, data=FORM).json()
        sim.tokens.revoke()
        responses = (without, post("wrong"), good, expired, post(second["access_token"]))

        assert without.json()["status"] == "401"
        assert without.json()["report"]["message"].endswith("Ims service token is empty")
        assert (second["token_type"], second["expires_in"]) == ("bearer", 100)
        assert [response.status_code for response in responses] == [401, 401, 207, 401, 401]
        assert sim.stats["tokens"] == {"issued": 2}


def test_an_inlet_without_authentication_accepts_an_expired_token(sim: Simulator) -> None:
    """Adobe does so too: the data is marked as unauthenticated, and nobody gets a 401."""
    headers = {"Authorization": "Bearer old"}
    response = httpx.post(sim.batch_url, content=batch(message("a")), headers=headers)

    assert response.status_code == 207
    assert sim.stats["unauthenticated"] == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
def test_wrong_credentials_get_no_token(sim: Simulator, change: dict[str, str], error: str) -> None:
    """The response is a 400 with OAuth's error code, which the bridge shows to its operator."""
    response = httpx.post(sim.token_url, data=FORM | change)

    assert response.status_code == 400
    assert response.json()["error"] == error


def test_secrets_rotate_and_tokens_are_throttled(sim: Simulator) -> None:
    """Two secrets can be valid at once during a rotation; too many token requests are 429."""
    sim.configure({"client_secrets": ["old", "new"], "tokens_per_min": 3})
    forms = [FORM | {"client_secret": secret} for secret in ("old", "new", "secret", "new")]

    assert [httpx.post(sim.token_url, data=form).status_code for form in forms] == [200, 200, 400, 429]
    assert sim.stats["tokens"] == {"issued": 2, "refused": 1, "throttled": 1}


def test_rates_are_limited_in_messages_and_requests(sim: Simulator) -> None:
    """More than a second's worth is a 429, with `Retry-After` if one is configured, and passes later."""
    sim.configure({"messages_per_s": 4, "retry_after_s": 2})
    first, second = (httpx.post(sim.batch_url, content=batch(*[message("a")] * 4)) for _ in range(2))
    time.sleep(1.05)
    third = httpx.post(sim.batch_url, content=batch(*[message("a")] * 4))
    sim.configure({"messages_per_s": 0, "requests_per_s": 1})
    fourth, fifth = (httpx.post(sim.batch_url, content=batch(message("a"))) for _ in range(2))
    responses = (first, second, third, fourth, fifth)

    assert [response.status_code for response in responses] == [207, 429, 207, 207, 429]
    assert second.headers["retry-after"] == "2"


def test_compressed_bodies_are_a_switch(sim: Simulator) -> None:
    """If they are not accepted they are 415; else the limit of the size holds for what they unpack to."""
    headers = {"Content-Encoding": "gzip"}
    small, large = gzip.compress(batch(message("a"))), gzip.compress(batch(message("b", pad="x" * 1_000_000)))

    def post(content: bytes) -> int:
        return httpx.post(sim.batch_url, content=content, headers=headers).status_code

    assert post(small) == 415
    sim.configure({"accept_gzip": True})
    assert post(small) == 207
    assert post(large) == 413
    assert post(b"no") == 400


def test_latency_delays_the_response_and_not_the_acceptance(sim: Simulator) -> None:
    """A client that gives up has delivered all the same, which is how duplicates come to be."""
    sim.configure({"latency_ms": 400})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(sim.batch_url, content=batch(message("a")), timeout=0.1)
    started = time.monotonic()
    httpx.post(sim.batch_url, content=batch(message("a")))

    assert time.monotonic() - started >= 0.4
    assert sim.accepted == {"a": 2}
    assert sim.stats["abandoned"] == 1
    deadline = time.monotonic() + 5
    # The client may have its response before the server has counted the request as ended.
    while sim.stats["in_flight"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sim.stats["in_flight"] == 0


def test_bytes_and_order_are_kept_on_request() -> None:
    """Tests of byte equality need the bytes and repeats that differ; tests of order need ids by key."""
    with Simulator(Config(keep_bytes=True, order_key="person")) as sim:
        spaced = msgspec.json.format(msgspec.json.encode(message("a", person="p")), indent=3)
        httpx.post(sim.batch_url, content=b'{"messages":[ ' + spaced + b" ]}")
        more = batch(message("b", person="q"), message("c", person="p"), message("a", person="p"))
        httpx.post(sim.batch_url, content=more)

        assert sim.message("a") == spaced
        assert sim.entity("b") == b'{"_id":"b","person":"q"}'
        assert sim.accounting.ids_with_changed_bytes == {"a"}
        assert sim.accounting.order == {"p": ["a", "c", "a"], "q": ["b"]}
        assert httpx.get(f"{sim.url}/__admin/message/a").content == spaced


def test_a_lone_surrogate_is_no_mistake() -> None:
    """The real service reads with Jackson, which takes it; what is kept is what was sent."""
    with_surrogate = msgspec.json.encode(message("a", name="X")).replace(b'"X"', rb'"\ud83d"')
    content = b'{"messages":[%b,%b]}' % (msgspec.json.encode(message("b")), with_surrogate)
    with Simulator(Config(keep_bytes=True, order_key="name")) as sim:
        entries = httpx.post(sim.batch_url, content=content).json()["responses"]

        assert sim.accepted == {"b": 1, "a": 1}
        assert [entry.get("statusCode", 207) for entry in entries] == [207, 207]
        assert sim.message("a") == with_surrogate
        assert sim.entity("a") == rb'{"_id":"a","name":"\ud83d"}'


def test_fast_mode_counts(sim: Simulator) -> None:
    """For benchmarks nothing is validated and no id is kept, but the response is complete."""
    sim.configure({"fast": True})
    response = httpx.post(sim.batch_url, content=batch(*[{"n": n} for n in range(100)]))

    assert len(response.json()["responses"]) == 100
    assert sim.stats["messages_accepted"] == 100
    assert not sim.accepted


def test_an_outage_is_a_stop_and_a_start() -> None:
    """The port and the accounting stay, so that a bridge finds the same AEP again."""
    sim = Simulator(Config(shape=Shape(status=200)))
    sim.start()
    statuses = [httpx.post(sim.batch_url, content=batch(message("a"))).status_code]
    sim.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.post(sim.batch_url, content=batch(message("a")))
    with sim:
        statuses.append(httpx.post(sim.batch_url, content=batch(message("a"))).status_code)

    assert statuses == [200, 200]
    assert sim.accepted == {"a": 2}


def test_a_port_that_is_taken_is_an_error_at_start() -> None:
    """The start raises; otherwise a test would talk to another simulator, or hang."""
    with Simulator() as first, pytest.raises(OSError, match="address already in use"):
        Simulator(Config(port=first.port)).start()


def test_idle_connections_are_closed(sim: Simulator) -> None:
    """A load balancer closes them without notice, and the client's next request has to open a new one."""
    sim.configure({"idle_s": 0.1})
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as client:
        assert client.recv(1) == b""


def test_what_is_not_http_is_refused(sim: Simulator) -> None:
    """The client gets a 400, and the connection ends."""
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as client:
        client.sendall(b"hello there\r\n\r\n")

        assert client.recv(100).startswith(b"HTTP/1.1 400")


def test_requests_can_be_pipelined_and_expect_100(sim: Simulator) -> None:
    """The responses come in the order of the requests, and a client that waits for `100 Continue` gets it."""
    body = batch(message("a"))
    first = (
        b"POST /collection/batch/%b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        % (sim.inlet.encode(), len(body))
    )
    second = b"GET /__admin/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as client:
        client.sendall(first + body + second)
        received = b"".join(iter(lambda: client.recv(10_000), b""))

    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 ")
    assert received.endswith(b'{"status":"up"}')


def test_tls_with_and_without_client_certificates(tmp_path: Path) -> None:
    """With a client authority configured, a client without a certificate of it can't connect."""
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    cert, key, ca = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    anonymous = ssl.create_default_context(cafile=ca)
    certified = ssl.create_default_context(cafile=ca)
    authority.issue_cert("client@example.com").configure_cert(certified)
    content = batch(message("a"))
    with Simulator(Config(tls_cert=cert, tls_key=key)) as sim:
        assert sim.url.startswith("https://")
        assert httpx.post(sim.batch_url, content=content, verify=anonymous).status_code == 207
    with Simulator(Config(tls_cert=cert, tls_key=key, tls_client_ca=ca)) as sim:
        assert httpx.post(sim.batch_url, content=content, verify=certified).status_code == 207
        with pytest.raises(httpx.TransportError):
            httpx.post(sim.batch_url, content=content, verify=anonymous)
