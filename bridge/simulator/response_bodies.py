"""The bodies of the collection service's responses, spelled in the shape that is configured."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.simulator.config import Shape
from bridge.simulator.messages import Judgement

_BEYOND_64_BITS = 123_456_789_012_345_678_901_234_567_890
_FAILURE_SHAPES = ("statusCode", "status", "status_uuid", "statusCode_batch", "string")


class ResponseBodies:
    """Writes bodies. Batch ids count up, and every random choice comes from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._batches = 0

    def multi_status(self, inlet: str, judgements: Sequence[Judgement], shape: Shape) -> bytes:
        """Return one entry for each message, with entries left out or added as the shape says."""
        batch, now_ms = self._next_batch()
        prefix = uuid.UUID(int=self._random.getrandbits(128), version=4)
        entries = [
            _success(batch, prefix, index, shape)
            if judgement.accepted
            else self._failure(batch, prefix, index, judgement, shape)
            for index, judgement in enumerate(judgements)
        ]
        end = len(judgements)
        entries += [_success(batch, prefix, end + index, shape) for index in range(shape.extra)]
        for _ in range(min(shape.drop, len(entries))):
            del entries[self._random.randrange(len(entries))]
        if shape.order == "shuffled":
            self._random.shuffle(entries)
        elif shape.order == "reversed":
            entries.reverse()
        body: dict[str, Any] = {
            shape.inlet_key: inlet,
            "batchId": batch,
            "receivedTimeMs": now_ms,
            "responses": entries,
        }
        return _encode(body, shape)

    def all_accepted(self, inlet: str, count: int) -> bytes:
        """Return the plainest multi-status body, at little cost for many messages."""
        batch, now_ms = self._next_batch()
        entries = ",".join([f'{{"xactionId":"{batch}:{index}"}}' for index in range(count)])
        head = f'"inletId":"{inlet}","batchId":"{batch}","receivedTimeMs":{now_ms}'
        return f'{{{head},"responses":[{entries}]}}'.encode()

    def single(self, inlet: str, shape: Shape, *, validated: bool) -> bytes:
        """Return the single endpoint's body, with a verdict if the request asked for validation."""
        batch, now_ms = self._next_batch()
        body: dict[str, Any] = {shape.inlet_key: inlet, "xactionId": batch, "receivedTimeMs": now_ms}
        if validated:
            body["synchronousValidation"] = {"status": "pass"}
        return _encode(body, shape)

    def _next_batch(self) -> tuple[str, int]:
        """Return a new batch id and the time in milliseconds."""
        self._batches += 1
        now_ms = int(time.time() * 1000)
        return f"{now_ms}:{self._batches}:{self._random.randrange(1000)}", now_ms

    def _failure(
        self, batch: str, prefix: uuid.UUID, index: int, judgement: Judgement, shape: Shape
    ) -> dict[str, Any]:
        kind = self._random.choice(_FAILURE_SHAPES) if shape.failure == "mixed" else shape.failure
        status, message = judgement.status, judgement.error
        match kind:
            case "status":
                return {"status": status, "message": message}
            case "status_uuid":
                return {"xactionId": f"{prefix}-{index}", "status": status, "message": message}
            case "statusCode_batch":
                return {"xactionId": f"{batch}:{index}", "statusCode": status, "message": message}
            case "string":
                return {"status": str(status), "message": message}
            case _:
                return {"statusCode": status, "message": message}


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
    if shape.big_numbers:
        # msgspec encodes no integer beyond 64 bits, so these go in as text.
        body["receivedTimeMs"] = msgspec.Raw(str(_BEYOND_64_BITS).encode())
        body["sequence"] = msgspec.Raw(str(-_BEYOND_64_BITS).encode())
    return msgspec.json.encode(body)
