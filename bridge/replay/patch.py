"""A fix for a payload: JSON Patch (RFC 6902), with every number kept as it was written. Pure, but for reading the file."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonpatch
import jsonpointer


class CannotPatch(Exception):
    """The patch does not fit this payload, and why."""


class Patch:
    """One JSON Patch document."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for what is no patch, OSError."""
        try:
            steps = _parsed(path.read_text(encoding="utf-8"))
            self._patch = jsonpatch.JsonPatch(steps)
        except (
            ValueError,
            TypeError,
            jsonpatch.InvalidJsonPatch,
            jsonpointer.JsonPointerException,
        ) as problem:
            raise ValueError(
                f"{path}: is no JSON Patch: {problem}; write a list such as [{{'op': 'remove', 'path': '/body/x'}}], in double quotes"
            ) from None

    def apply(self, value: bytes | None) -> bytes:
        """The payload with the fix. Raises `CannotPatch`."""
        try:
            return _written(self._patch.apply(_parsed((value or b"").decode()))).encode()
        except jsonpatch.JsonPatchTestFailed as problem:
            raise CannotPatch(f"a test of the patch fails: {problem}") from None
        except Exception as problem:  # of any kind: a payload is anybody's (1e99999999999999999999 is no Decimal), and one must not end the plan for all
            raise CannotPatch(f"{type(problem).__name__}: {problem}") from None


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _written(value: Any) -> str:
    """JSON text. `json` would write a decimal as the nearest binary number."""
    if isinstance(value, dict):
        return (
            "{"
            + ",".join(
                f"{json.dumps(name, ensure_ascii=False)}:{_written(each)}" for name, each in value.items()
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
