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
    org = Config().org
    header = {"schemaRef": REF, "imsOrgId": org, "datasetId": "d1"}
    return {
        "header": header,
        "body": {"xdmMeta": {"schemaRef": REF}, "xdmEntity": {"_id": event_id, **entity}},
    }


def batch(*messages: object) -> bytes:
    return msgspec.json.encode({"messages": messages})


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def test_a_batch_is_answered_207_and_counted(sim: Simulator) -> None:
    """Every message has one response, in order, with the batch id and its index; every id is counted."""
    answer = httpx.post(sim.batch_url, content=batch(message("a"), message("b"), message("a")))
    body = answer.json()

    assert answer.status_code == 207
    assert [entry["xactionId"] for entry in body["responses"]] == [
        f"{body['batchId']}:{index}" for index in range(3)
    ]
    assert body["inletId"] == sim.inlet
    assert sim.accepted == {"a": 2, "b": 1}
    assert sim.duplicates == {"a": 2}


def test_bad_messages_fail_alone(sim: Simulator) -> None:
    """A bad message gets its own entry; the others are accepted."""
    wrong = message("w")
    wrong["header"]["imsOrgId"] = "other"
    answer = httpx.post(sim.batch_url, content=batch(message("a"), {"hello": 1}, wrong, 7, message("b")))

    assert [entry.get("statusCode", 207) for entry in answer.json()["responses"]] == [207, 400, 400, 400, 207]
    assert set(sim.accepted) == {"a", "b"}
    assert sim.refused["w", 400] == 1


def test_a_single_message_is_answered_200(sim: Simulator) -> None:
    """The single endpoint answers with one xactionId, and with a verdict where it is asked for."""
    plain = httpx.post(sim.inlet_url, json=message("a"))
    checked = httpx.post(f"{sim.inlet_url}?syncValidation=true", json=message("b"))
    refused = httpx.post(sim.inlet_url, json={"hello": 1})

    assert plain.status_code == 200
    assert "synchronousValidation" not in plain.json()
    assert checked.json()["synchronousValidation"] == {"status": "pass"}
    assert refused.status_code == 400
    assert refused.json()["title"] == "Invalid XDM Message Format"
    assert refused.json()["report"]["message"].endswith(
        "The 'header' field is mandatory. Provide a valid 'header' value and try again."
    )


def test_validated_requests_are_limited_per_minute(sim: Simulator) -> None:
    """The verdict is for a check, never for the main path."""
    sim.configure({"sync_per_min": 2})

    assert [
        httpx.post(f"{sim.inlet_url}?syncValidation=true", json=message("b")).status_code for _ in range(3)
    ] == [200, 200, 429]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b'{"messages":[]}', b'{"messages":[{"a":1,}]}'])
def test_a_body_that_is_no_batch_is_refused_whole(sim: Simulator, body: bytes) -> None:
    """The refusal is the problem document."""
    answer = httpx.post(sim.batch_url, content=body)

    assert answer.status_code == 400
    assert answer.json()["status"] == 400
    assert answer.json()["report"]["message"].endswith("Message has unknown xdm format")


def test_the_limit_is_the_whole_body(sim: Simulator) -> None:
    """1,000,000 bytes pass; one more is a 413, and the connection lives on."""
    bare = len(batch(message("a", pad="")))
    with httpx.Client() as client:
        fits = client.post(sim.batch_url, content=batch(message("a", pad="x" * (1_000_000 - bare))))
        over = client.post(sim.batch_url, content=batch(message("a", pad="x" * (1_000_001 - bare))))
        after = client.post(sim.batch_url, content=batch(message("b")))

    assert [fits.status_code, over.status_code, after.status_code] == [207, 413, 207]
    assert sim.stats["max_request_bytes"] == 1_000_001


def test_unknown_addresses_are_404_and_other_methods_405(sim: Simulator) -> None:
    """A wrong inlet is not a wrong record."""
    assert httpx.post(f"{sim.url}/collection/batch/nobody", content=batch(message("a"))).status_code == 404
    assert httpx.post(f"{sim.url}/elsewhere").status_code == 404
    assert httpx.get(sim.batch_url).status_code == 405


def test_raw_inlets_take_bare_objects_with_a_flow(sim: Simulator) -> None:
    """Their id is the object's own `_id`; without the flow header the request is refused."""
    url = f"{sim.url}/collection/batch/{DEFAULT_RAW_INLET}"

    assert httpx.post(url, content=batch({"_id": "r"})).status_code == 400
    assert httpx.post(url, content=batch({"_id": "r"}), headers={"x-adobe-flow-id": "f"}).status_code == 207
    assert sim.accepted == {"r": 1}
    assert sim.accounting.last_headers["x-adobe-flow-id"] == "f"


def test_tokens_open_the_inlet_until_they_end() -> None:
    """No token, a wrong one, an expired one and a revoked one are 401, with the status as a text; a good one passes."""
    with Simulator(Config(require_auth=True, token_ttl_s=1)) as sim:

        def post(token: str | None) -> httpx.Response:
            return httpx.post(
                sim.batch_url,
                content=batch(message("a")),
                headers={"Authorization": f"Bearer {token}"} if token else {},
            )

        refused = post(None)
        token = httpx.post(sim.token_url, data=FORM).json()["access_token"]
        good = post(token)
        time.sleep(1.05)
        expired = post(token)
        sim.configure({"token_ttl_s": 100})
        second = httpx.post(sim.token_url, data=FORM).json()
        sim.tokens.revoke()

        assert refused.json()["status"] == "401"
        assert refused.json()["report"]["message"].endswith("Ims service token is empty")
        assert (second["token_type"], second["expires_in"]) == ("bearer", 100)
        assert [
            r.status_code for r in (refused, post("wrong"), good, expired, post(second["access_token"]))
        ] == [401, 401, 207, 401, 401]
        assert sim.stats["tokens"] == {"issued": 2}


def test_an_open_inlet_accepts_an_expired_token(sim: Simulator) -> None:
    """As Adobe does: the data is marked as unauthenticated, without a 401."""
    assert (
        httpx.post(
            sim.batch_url, content=batch(message("a")), headers={"Authorization": "Bearer old"}
        ).status_code
        == 207
    )
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
    """A 400 with OAuth's error code."""
    answer = httpx.post(sim.token_url, data=FORM | change)

    assert answer.status_code == 400
    assert answer.json()["error"] == error


def test_secrets_rotate_and_tokens_are_throttled(sim: Simulator) -> None:
    """Two secrets can be valid at once; more token requests than allowed are 429."""
    sim.configure({"client_secrets": ["old", "new"], "tokens_per_min": 3})
    codes = [
        httpx.post(sim.token_url, data=FORM | {"client_secret": secret}).status_code
        for secret in ("old", "new", "secret", "new")
    ]

    assert codes == [200, 200, 400, 429]
    assert sim.stats["tokens"] == {"issued": 2, "refused": 1, "throttled": 1}


def test_rates_are_limited_in_messages_and_requests(sim: Simulator) -> None:
    """What is over one second's worth is 429, with a Retry-After where configured; a moment later it passes."""
    sim.configure({"messages_per_s": 4, "retry_after_s": 2})
    first, second = (httpx.post(sim.batch_url, content=batch(*[message("a")] * 4)) for _ in range(2))
    time.sleep(1.05)
    third = httpx.post(sim.batch_url, content=batch(*[message("a")] * 4))
    sim.configure({"messages_per_s": 0, "requests_per_s": 1})
    fourth, fifth = (httpx.post(sim.batch_url, content=batch(message("a"))) for _ in range(2))

    assert [r.status_code for r in (first, second, third, fourth, fifth)] == [207, 429, 207, 207, 429]
    assert second.headers["retry-after"] == "2"


def test_compressed_bodies_are_a_switch(sim: Simulator) -> None:
    """Off they are 415; on they are unpacked, and held against the same limit."""
    headers = {"Content-Encoding": "gzip"}
    small, large = gzip.compress(batch(message("a"))), gzip.compress(batch(message("b", pad="x" * 1_000_000)))
    before = httpx.post(sim.batch_url, content=small, headers=headers)
    sim.configure({"accept_gzip": True})

    assert before.status_code == 415
    assert httpx.post(sim.batch_url, content=small, headers=headers).status_code == 207
    assert httpx.post(sim.batch_url, content=large, headers=headers).status_code == 413
    assert httpx.post(sim.batch_url, content=b"no", headers=headers).status_code == 400


def test_latency_delays_the_answer_not_the_acceptance(sim: Simulator) -> None:
    """A client that gives up has delivered all the same, and is counted as gone."""
    sim.configure({"latency_ms": 400})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(sim.batch_url, content=batch(message("a")), timeout=0.1)
    began = time.monotonic()
    httpx.post(sim.batch_url, content=batch(message("a")))

    assert time.monotonic() - began >= 0.4
    assert sim.accepted == {"a": 2}
    assert sim.stats["abandoned"] == 1
    deadline = time.monotonic() + 5
    while (
        sim.stats["in_flight"] and time.monotonic() < deadline
    ):  # the client may have its answer before the server has put its pen down
        time.sleep(0.01)
    assert sim.stats["in_flight"] == 0


def test_bytes_and_order_are_kept_on_request() -> None:
    """A message is kept as it was sent, and a repeat with other bytes is told; ids are in order for each key."""
    with Simulator(Config(keep_bytes=True, order_key="person")) as sim:
        spaced = msgspec.json.format(msgspec.json.encode(message("a", person="p")), indent=3)
        httpx.post(sim.batch_url, content=b'{"messages":[ ' + spaced + b" ]}")
        httpx.post(
            sim.batch_url,
            content=batch(message("b", person="q"), message("c", person="p"), message("a", person="p")),
        )

        assert sim.message("a") == spaced
        assert sim.entity("b") == b'{"_id":"b","person":"q"}'
        assert sim.accounting.ids_with_changed_bytes == {"a"}
        assert sim.accounting.order == {"p": ["a", "c", "a"], "q": ["b"]}
        assert httpx.get(f"{sim.url}/__admin/message/a").content == spaced


def test_half_a_surrogate_pair_is_no_mistake() -> None:
    """The real service reads with Jackson, which takes it; what is kept is what was sent."""
    odd = msgspec.json.encode(message("a", name="X")).replace(b'"X"', rb'"\ud83d"')
    with Simulator(Config(keep_bytes=True, order_key="name")) as sim:
        answer = httpx.post(
            sim.batch_url, content=b'{"messages":[%b,%b]}' % (msgspec.json.encode(message("b")), odd)
        )

        assert sim.accepted == {"a": 1, "b": 1}
        assert [entry.get("statusCode", 207) for entry in answer.json()["responses"]] == [207, 207]
        assert odd == sim.message("a")
        assert sim.entity("a") == rb'{"_id":"a","name":"\ud83d"}'


def test_fast_mode_counts(sim: Simulator) -> None:
    """Nothing is validated and no id is kept; the answer is complete."""
    sim.configure({"fast": True})
    answer = httpx.post(sim.batch_url, content=batch(*[{"n": n} for n in range(100)]))

    assert len(answer.json()["responses"]) == 100
    assert sim.stats["messages_accepted"] == 100
    assert not sim.accepted


def test_an_outage_is_a_stop_and_a_start() -> None:
    """The port and the accounting stay."""
    sim = Simulator(Config(shape=Shape(status=200)))
    sim.start()
    codes = [httpx.post(sim.batch_url, content=batch(message("a"))).status_code]
    sim.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.post(sim.batch_url, content=batch(message("a")))
    with sim:
        codes.append(httpx.post(sim.batch_url, content=batch(message("a"))).status_code)

    assert codes == [200, 200]
    assert sim.accepted == {"a": 2}


def test_a_port_that_is_taken_is_an_error_at_start() -> None:
    """The start raises; nothing hangs."""
    with Simulator() as first, pytest.raises(OSError, match="address already in use"):
        Simulator(Config(port=first.port)).start()


def test_idle_connections_are_closed(sim: Simulator) -> None:
    """Unannounced, as a load balancer does; the client's next request opens a new one."""
    sim.configure({"idle_s": 0.1})
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as raw:
        assert raw.recv(1) == b""


def test_what_is_not_http_is_refused(sim: Simulator) -> None:
    """A 400 and the end of the connection."""
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as raw:
        raw.sendall(b"hello there\r\n\r\n")

        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_requests_can_be_pipelined_and_expect_100(sim: Simulator) -> None:
    """They are answered in order."""
    body = batch(message("a"))
    one = (
        b"POST /collection/batch/%b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n%b"
        % (
            sim.inlet.encode(),
            len(body),
            body,
        )
    )
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as raw:
        raw.sendall(one + b"GET /__admin/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        got = b"".join(iter(lambda: raw.recv(10_000), b""))

    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 ")
    assert got.endswith(b'{"status":"up"}')


def test_tls_with_and_without_client_certificates(tmp_path: Path) -> None:
    """HTTPS with the certificate given; with a client authority a client without a certificate is turned away."""
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    cert, key, ca = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    anonymous = ssl.create_default_context(cafile=ca)
    known = ssl.create_default_context(cafile=ca)
    authority.issue_cert("client@example.com").configure_cert(known)
    with Simulator(Config(tls_cert=cert, tls_key=key)) as sim:
        assert sim.url.startswith("https://")
        assert httpx.post(sim.batch_url, content=batch(message("a")), verify=anonymous).status_code == 207
    with Simulator(Config(tls_cert=cert, tls_key=key, tls_client_ca=ca)) as sim:
        assert httpx.post(sim.batch_url, content=batch(message("a")), verify=known).status_code == 207
        with pytest.raises(httpx.TransportError):
            httpx.post(sim.batch_url, content=batch(message("a")), verify=anonymous)
