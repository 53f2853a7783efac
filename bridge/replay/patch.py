"""A correction of payloads: JSON Patch (RFC 6902), with every number kept as it was written."""

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
        """Read the document. Raises ValueError if it is no JSON Patch, OSError if it can't be read."""
        try:
            operations = _parse(path.read_text(encoding="utf-8"))
            self._patch = jsonpatch.JsonPatch(operations)
        except (
            ValueError,
            TypeError,
            jsonpatch.InvalidJsonPatch,
            jsonpointer.JsonPointerException,
        ) as problem:
            example = "[{'op': 'remove', 'path': '/body/x'}], in double quotes"
            raise ValueError(f"{path}: is no JSON Patch: {problem}; write a list such as {example}") from None

    def apply(self, value: bytes | None) -> bytes:
        """Return the corrected payload. Raises `CannotPatch`."""
        try:
            payload = _parse((value or b"").decode())
            return _serialize(self._patch.apply(payload)).encode()
        except jsonpatch.JsonPatchTestFailed as problem:
            raise CannotPatch(f"a test of the patch fails: {problem}") from None
        except Exception as problem:
            # Anybody may have written the payload (1e99999999999999999999 is no Decimal), and one that raises
            # something unexpected must not end the plan for all others.
            raise CannotPatch(f"{type(problem).__name__}: {problem}") from None


def _parse(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _serialize(value: Any) -> str:
    """Return JSON text. `json` alone would write a decimal as the nearest binary number."""
    if isinstance(value, dict):
        members = (
            f"{json.dumps(name, ensure_ascii=False)}:{_serialize(member)}" for name, member in value.items()
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_serialize, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
