"""Dead letters as lines for other tools: NDJSON or CSV (`dlq export`)."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import Mark


def write_ndjson(letters: Iterable[tuple[StoredDeadLetter, Mark | None]], stream: TextIO) -> int:
    """Write one JSON object a line; return how many."""
    count = 0
    for letter, mark in letters:
        stream.write(json.dumps(_row(letter, mark), ensure_ascii=False) + "\n")
        count += 1
    return count


def write_csv(letters: Iterable[tuple[StoredDeadLetter, Mark | None]], stream: TextIO) -> int:
    """Write a header and one row for each dead letter (nothing at all if there is none); return how many."""
    count = 0
    writer = csv.writer(stream)
    for letter, mark in letters:
        row = _row(letter, mark)
        if count == 0:
            writer.writerow(row)
        writer.writerow(["" if value is None else value for value in row.values()])
        count += 1
    return count


def _row(letter: StoredDeadLetter, mark: Mark | None) -> dict[str, Any]:
    return {
        **letter.as_json(),
        "replayed_at": mark and mark.replayed_at,
        **_text_or_base64("key", letter.record.key()),
        **_text_or_base64("payload", letter.record.value()),
    }


def _text_or_base64(name: str, value: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if value is None else value.decode(), f"{name}_base64": None}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(value or b"").decode()}
