"""One dead letter in full: its key, its headers and its payload, as far as they are
text or JSON (`dlq show`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import Mark


def payload_of(letter: StoredDeadLetter) -> bytes:
    """Return the payload; empty for a null value."""
    return letter.record.value() or b""


def key_of(letter: StoredDeadLetter) -> str:
    """Return the key as text."""
    return (letter.record.key() or b"").decode("utf-8", "replace")


def parse_payload(value: bytes) -> Any:
    """Return a payload that is JSON and can be written again; None for every other one."""
    try:
        payload = json.loads(value)
        json.dumps(payload, indent=2)
    except (ValueError, RecursionError):
        return None
    return payload


def as_json(letter: StoredDeadLetter, mark: Mark | None) -> dict[str, Any]:
    """Return the whole dead letter under the names that scripts read."""
    value = payload_of(letter)
    payload = parse_payload(value)
    headers = letter.record.headers() or ()
    return {
        **letter.as_json(),
        "replayed": None if mark is None else {"at": mark.replayed_at, "to": mark.destination},
        "key": key_of(letter),
        "headers": [[name, (text or b"").decode("utf-8", "replace")] for name, text in headers],
        "payload": value.decode("utf-8", "replace") if payload is None else payload,
    }


def fields_in_error(error: str) -> list[str]:
    """Return the names of fields that an error text mentions, in their order."""
    names = re.findall(r"['\"#/]([A-Za-z_][\w:.-]*)", error)
    if "ims org" in error:
        names.append("imsOrgId")
    if "xdm format" in error:
        names += ["schemaRef", "header", "body"]
    return list(dict.fromkeys(names))
