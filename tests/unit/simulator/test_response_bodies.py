"""The multi-status body in every shape that AEP is known to use, or that a client must survive."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bridge.simulator import Shape
from bridge.simulator.messages import Judgement
from bridge.simulator.response_bodies import ResponseBodies

Entries = list[dict[str, Any]]


def usual(entries: Entries) -> bool:
    is_id = re.fullmatch(r"\d+:\d+:\d+:0", entries[0]["xactionId"])
    return bool(is_id) and entries[1] == {"statusCode": 400, "message": "no"}


@pytest.mark.parametrize(
    ("shape", "check"),
    [
        (Shape(), usual),
        (Shape(failure="status"), lambda e: e[1] == {"status": 400, "message": "no"}),
        (Shape(failure="status_uuid"), lambda e: e[1]["xactionId"].endswith("-1") and e[1]["status"] == 400),
        (
            Shape(failure="statusCode_batch"),
            lambda e: e[1]["xactionId"].endswith(":1") and e[1]["statusCode"] == 400,
        ),
        (Shape(failure="string"), lambda e: e[1]["status"] == "400"),
        (Shape(success="uuid"), lambda e: e[0]["xactionId"].endswith("-0") and len(e[0]["xactionId"]) == 38),
        (Shape(success="opaque"), lambda e: re.fullmatch(r"[0-9a-f]{32}x", e[0]["xactionId"])),
        (Shape(success="status"), lambda e: e[0] == {"status": 200}),
        (Shape(success="silent"), lambda e: e[0] == {}),
        (Shape(order="reversed"), lambda e: e[2]["xactionId"].endswith(":0")),
        (Shape(drop=2), lambda e: len(e) == 1),
        (Shape(extra=2), lambda e: len(e) == 5 and e[4]["xactionId"].endswith(":4")),
    ],
)
def test_a_shape_changes_what_it_names(shape: Shape, check: Callable[[Entries], object]) -> None:
    """An option that did not reach the response would make tests try the usual spelling again."""
    judgements = [Judgement("a"), Judgement("b", 400, "no"), Judgement("c")]
    body = msgspec.json.decode(ResponseBodies(1).multi_status("i", judgements, shape))

    assert check(body["responses"])
    assert body["inletId"] == "i"


def test_big_numbers_exceed_64_bits() -> None:
    """They are numbers in the text, larger than any machine integer, as AEP has sent them."""
    shape = Shape(big_numbers=True, inlet_key="inletID")
    text = ResponseBodies(1).multi_status("i", [Judgement("a")], shape).decode()

    assert re.search(r'"receivedTimeMs":\d{30}[,}]', text)
    assert '"inletID":"i"' in text
