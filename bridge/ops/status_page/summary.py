"""The summary of a status: one sentence, and the reasons for it. Pure; for the page, the command line and
scripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LEVELS = ("ok", "waiting", "stopped")
"""From the best to the worst."""

LATE_COMMIT_S = 10.0


def summary(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return `level` (one of LEVELS), `title`, and `reasons`, of which the worst comes first.

    Each reason has `level`, `text`, `detail` and `next_try_s`, which is None where it is not known.
    """
    reasons = sorted(_reasons(status), key=lambda reason: -LEVELS.index(reason["level"]))
    level = reasons[0]["level"] if reasons else "ok"
    if reasons:
        title = reasons[0]["text"]
    elif not status.get("partitions"):
        title = "Ready; no partition is assigned to this replica"
    elif any(entry.get("lag") or entry.get("uncommitted") for entry in status["partitions"]):
        title = "Delivering"
    elif any(entry.get("lag") is None for entry in status["partitions"]):
        title = "Reading; where the partitions end is not known yet"
    else:
        title = "Everything is delivered"
    return {"level": level, "title": title, "reasons": reasons}


def reason_for_waiting(entry: Mapping[str, Any]) -> str:
    """Return why a partition waits; empty if it does not."""
    reason = entry.get("waits") or ""
    if not reason and entry.get("paused"):
        reason = "paused: as much is read and not settled as the settings allow"
    return str(reason)


def _reasons(status: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if status.get("draining"):
        yield _reason("waiting", "Draining: settling what was read, then stopping")
    elif not status.get("joined"):
        yield _reason("waiting", "Waiting for Kafka: the consumer group has not been joined yet")
    for inlet in status.get("inlets", []):
        name = inlet["name"]
        if held := inlet.get("held"):
            yield _reason(
                "stopped",
                f"Inlet {name} is held: {held['reason']}",
                held.get("next_try_s"),
                held.get("detail"),
            )
        if before := inlet.get("not_before"):
            yield _reason(
                "waiting",
                f"Inlet {name} waits: {before['reason'] or 'backing off'}",
                before.get("next_try_s"),
            )
        for dataset, seconds in (inlet.get("flooded") or {}).items():
            yield _reason(
                "stopped",
                f"Flood guard on inlet {name}: everything for {dataset} is refused",
                None,
                f"for {seconds:.0f} s",
            )
    reported = set()
    for wait in status.get("waits", []):
        kind = wait["inlet"], wait["reason"]
        if kind not in reported:
            reported.add(kind)
            stopped = "dead-letter topic" in wait["reason"] or "flood guard" in wait["reason"]
            which = f" ({wait['first']}{' and more' * (wait['records'] > 1)})" if wait.get("first") else ""
            text = f"Batches of inlet {wait['inlet']} wait: {wait['reason']}{which}"
            yield _reason("stopped" if stopped else "waiting", text, wait["next_try_s"], wait["detail"])
    for name, token in (status.get("tokens") or {}).items():
        if token.get("error"):
            valid = (token.get("expires_in_s") or 0) > 0
            yield _reason(
                "waiting" if valid else "stopped", f"Token of inlet {name} refused", None, token["error"]
            )
    if (age := status.get("commit_age_s") or 0) > LATE_COMMIT_S:
        yield _reason(
            "stopped",
            "Offsets are not being committed",
            None,
            f"for {age:.0f} s; settled records would be sent again after a crash",
        )


def _reason(
    level: str, text: str, next_try_s: float | None = None, detail: str | None = None
) -> dict[str, Any]:
    return {"level": level, "text": text, "next_try_s": next_try_s, "detail": detail or ""}
