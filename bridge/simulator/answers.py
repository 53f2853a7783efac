"""Spells the multi-status answer, in the shape that was asked for."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.simulator.config import Shape
from bridge.simulator.messages import Judged

_BIG = 123_456_789_012_345_678_901_234_567_890
_FAILURES = ("statusCode", "status", "status_uuid", "statusCode_batch", "string")


class Answers:
    """Writes answers; batch ids count up, and every draw comes from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def multi_status(self, inlet: str, judged: Sequence[Judged], shape: Shape) -> bytes:
        """One entry for each message, less and more as the shape says."""
        batch, now_ms = self._batch()
        prefix = uuid.UUID(int=self._random.getrandbits(128), version=4)
        entries = [
            _success(batch, prefix, index, shape)
            if one.status is None
            else self._failure(batch, prefix, index, one, shape)
            for index, one in enumerate(judged)
        ]
        entries += [_success(batch, prefix, len(judged) + index, shape) for index in range(shape.extra)]
        for _ in range(min(shape.drop, len(entries))):
            del entries[self._random.randrange(len(entries))]
        if shape.order == "shuffled":
            self._random.shuffle(entries)
        elif shape.order == "reversed":
            entries.reverse()
        head: dict[str, Any] = {
            shape.inlet_key: inlet,
            "batchId": batch,
            "receivedTimeMs": now_ms,
            "responses": entries,
        }
        return _encode(head, shape)

    def all_accepted(self, inlet: str, count: int) -> bytes:
        """The plainest answer, for many messages at little cost."""
        batch, now_ms = self._batch()
        entries = ",".join([f'{{"xactionId":"{batch}:{index}"}}' for index in range(count)])
        return f'{{"inletId":"{inlet}","batchId":"{batch}","receivedTimeMs":{now_ms},"responses":[{entries}]}}'.encode()

    def single(self, inlet: str, shape: Shape, *, verdict: bool) -> bytes:
        """The single endpoint's answer, with a verdict where validation was asked for."""
        batch, now_ms = self._batch()
        body: dict[str, Any] = {shape.inlet_key: inlet, "xactionId": batch, "receivedTimeMs": now_ms}
        if verdict:
            body["synchronousValidation"] = {"status": "pass"}
        return _encode(body, shape)

    def _batch(self) -> tuple[str, int]:
        self._count += 1
        now_ms = int(time.time() * 1000)
        return f"{now_ms}:{self._count}:{self._random.randrange(1000)}", now_ms

    def _failure(
        self, batch: str, prefix: uuid.UUID, index: int, one: Judged, shape: Shape
    ) -> dict[str, Any]:
        kind = self._random.choice(_FAILURES) if shape.failure == "mixed" else shape.failure
        match kind:
            case "status":
                return {"status": one.status, "message": one.error}
            case "status_uuid":
                return {"xactionId": f"{prefix}-{index}", "status": one.status, "message": one.error}
            case "statusCode_batch":
                return {"xactionId": f"{batch}:{index}", "statusCode": one.status, "message": one.error}
            case "string":
                return {"status": str(one.status), "message": one.error}
            case _:
                return {"statusCode": one.status, "message": one.error}


def _success(batch: str, prefix: uuid.UUID, index: int, shape: Shape) -> dict[str, Any]:
    match shape.success:
        case "uuid":
            return {"xactionId": f"{prefix}-{index}"}
        case "opaque":
            return {"xactionId": uuid.uuid5(prefix, str(index)).hex + "x"}
        case "status":
            return {"status": 200}
        case "silent":
            return {}
        case _:
            return {"xactionId": f"{batch}:{index}"}


def _encode(body: dict[str, Any], shape: Shape) -> bytes:
    """Integers past 64 bits are spliced in: the encoder has none."""
    encoded = msgspec.json.encode(body)
    if not shape.big_numbers:
        return encoded
    body["receivedTimeMs"] = msgspec.Raw(str(_BIG).encode())
    body["sequence"] = msgspec.Raw(str(-_BIG).encode())
    return msgspec.json.encode(body)
