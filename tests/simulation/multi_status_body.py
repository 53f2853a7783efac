"""Draw the body of a multi-status response in one of the shapes that AEP was seen to send."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random


def multi_status(rng: Random, statuses: Sequence[int], *, odd: bool) -> tuple[bytes, list[int | None]]:
    """Return a truthful body, and for each message the status that the body attributes to it for certain."""
    count = len(statuses)
    shape = (
        rng.choice(("shuffled", "missing", "missing unnamed", "extra", "twice", "nothing said", "huge"))
        if odd
        else "documented"
    )
    named = shape in ("shuffled", "missing", "twice", "extra") or rng.random() < 0.3
    separator, batch = rng.choice(
        ((":", "1565628583792:1485:153"), ("-", "9341f8eb-494a-4c89-9879-4d06a58d2dc7"))
    )
    entries = [
        _entry(rng, status, f"{batch}{separator}{at}", named=named) for at, status in enumerate(statuses)
    ]
    verdicts: list[int | None] = list(statuses)
    if shape == "shuffled":
        rng.shuffle(entries)
    elif shape in ("missing", "missing unnamed") and count > 1:
        gone = rng.randrange(count)
        del entries[gone]
        if shape == "missing unnamed" and any("xactionId" not in entry for entry in entries):
            verdicts = [None] * count
        else:
            verdicts[gone] = None
    elif shape == "twice" and count > 1:
        entries[-1] = dict(entries[0])
        verdicts = [None] * count
    elif shape == "extra":
        entries.append(dict(entries[0]))
        verdicts = [None] * count
    elif shape == "nothing said":
        silent = rng.randrange(count)
        entries[silent] = {"note": "?"}
        verdicts[silent] = None
    body = {
        "inletID" if shape == "huge" else "inletId": "x",
        "batchId": batch,
        "receivedTimeMs": 10**30 if shape == "huge" else 1,
        "responses": entries,
    }
    return json.dumps(body).encode(), verdicts


def _entry(rng: Random, status: int, name: str, *, named: bool) -> dict[str, object]:
    if status == 200:
        return (
            {"xactionId": name}
            if rng.random() < 0.8
            else {"xactionId": name, "status": rng.choice((200, "200"))}
        )
    entry: dict[str, object] = {
        rng.choice(("status", "statusCode")): rng.choice((status, str(status))),
        "message": "Message has unknown xdm format",
    }
    return entry | {"xactionId": name} if named else entry
