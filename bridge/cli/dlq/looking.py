"""`aep-bridge dlq list`, `show` and `stats`: what there is, why, and what was replayed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.dlq.options import (
    Dataset,
    Reason,
    Since,
    SourceTopic,
    Topic,
    letters,
    reading,
    selection,
    stop,
    table,
)
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json, printable

if TYPE_CHECKING:
    from bridge.config.settings import Settings
    from bridge.kafka.coordinates import Coordinates
    from bridge.replay.dead_letter import StoredDeadLetter
    from bridge.replay.marks import Mark


def list_(
    config: ConfigOption,
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
    output: Output = Form.AUTO,
) -> None:
    """Group dead letters by what is wrong: count, first and last seen, topics, one sample.

    Example: `aep-bridge dlq list --config bridge.yaml --since 2h`
    """
    from bridge.replay.dead_letter import stamp

    wanted = selection(reason, since, dataset, source_topic)
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for letter, mark in letters(settings_of(config), topic, wanted):
        group = groups.setdefault(
            (letter.reason, letter.status, letter.normal),
            [0, letter.failed_ms, letter.failed_ms, set(), letter.place, 0],
        )
        group[0] += 1
        group[1], group[2] = min(group[1], letter.failed_ms), max(group[2], letter.failed_ms)
        group[3].add(letter.source.topic)
        group[5] += mark is not None
    found = [
        {
            "reason": key[0],
            "status": key[1] or None,
            "error": key[2],
            "count": group[0],
            "first": stamp(group[1]),
            "last": stamp(group[2]),
        }
        | {"topics": sorted(group[3]), "sample": str(group[4]), "replayed": group[5]}
        for key, group in sorted(groups.items(), key=lambda item: -item[1][0])
    ]
    if as_json(output):
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not found:
        typer.echo("no dead letters")
        return
    rows = [
        [
            f"{row['count']:,}",
            f"{row['replayed']:,}",
            f"{row['reason']} {row['status'] or ''}",
            row["error"],
            row["first"],
            row["last"],
            ", ".join(row["topics"]),
            row["sample"],
        ]
        for row in found
    ]
    table(["count", "replayed", "reason", "error", "first seen", "last seen", "topics", "sample"], rows)
    typer.echo(f"Look at one: aep-bridge dlq show {found[0]['sample']} --config {config}")


def show(
    record: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC/PARTITION/OFFSET", help="The dead letter's place, or the source record's."
        ),
    ],
    config: ConfigOption,
    raw: Annotated[bool, typer.Option("--raw", help="Only the payload, byte for byte.")] = False,
    output: Output = Form.AUTO,
) -> None:
    """Show one dead letter: the error, where it came from, and the payload.

    Example: `aep-bridge dlq show web-events.dlq/0/17 --config bridge.yaml`
    """
    from bridge.kafka.coordinates import parse_coordinates

    wanted = (
        parse_coordinates(*record.encode(errors="replace").rsplit(b"/", 2))
        if record.count("/") == 2
        else None
    )
    if wanted is None:
        raise stop(f"{record}: write TOPIC/PARTITION/OFFSET, such as web-events.dlq/0/17", 2)
    letter, mark = _find(settings_of(config), wanted)
    if letter is None:
        raise stop(
            f"{record}: no dead letter is there, and none came from there; `aep-bridge dlq list` shows samples",
            1,
        )
    value = letter.record.value() or b""
    if raw:
        sys.stdout.buffer.write(value)
        return
    payload = _parsed(value)
    about = {**letter.as_json(), "replayed": None if mark is None else {"at": mark.at, "to": mark.to}}
    headers = [
        [header, (text or b"").decode("utf-8", "replace")] for header, text in letter.record.headers() or ()
    ]
    key = (letter.record.key() or b"").decode("utf-8", "replace")
    if as_json(output):
        shown = {
            **about,
            "key": key,
            "headers": headers,
            "payload": payload if payload is not None else value.decode("utf-8", "replace"),
        }
        typer.echo(
            json.dumps(shown, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode()
        )  # half a surrogate pair, as JSON has it
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.syntax import Syntax

    console = Console(highlight=False)  # its patterns take for ever on some long texts
    console.print(f"[bold red]{escape(printable(letter.error))}[/]")
    about["replayed"] = None if mark is None else f"{mark.at}, to {mark.to}"
    for label, text in about.items():
        if text is not None and label != "error":
            console.print(f"  [dim]{label.replace('_', ' '):<14}[/] {escape(printable(str(text)))}")
    console.print(f"  [dim]{'key':<14}[/] {escape(printable(key[:2000]))}")
    fields = _complaints(letter.error)
    console.print(
        f"[bold]payload[/], {len(value):,} bytes"
        + (f"; AEP complained about: [red]{escape(', '.join(fields))}[/]" if fields else "")
    )
    text = (
        json.dumps(payload, indent=2, ensure_ascii=False)
        if payload is not None
        else value.decode("utf-8", "backslashreplace")
    )
    marked = {
        at for at, line in enumerate(text.splitlines(), 1) if any(f'"{field}"' in line for field in fields)
    }
    console.print(
        Syntax(
            printable(text[:20_000]),
            "json" if payload is not None else "text",
            line_numbers=True,
            highlight_lines=marked,
            background_color="default",
        )
    )


def _parsed(value: bytes) -> Any:
    """The payload, where it is JSON that can be written again; else None."""
    try:
        payload = json.loads(value)
        json.dumps(payload, indent=2)
    except (ValueError, RecursionError):
        return None
    return payload


def _complaints(error: str) -> list[str]:
    """Names of fields that an error text mentions."""
    import re

    words = re.findall(r"['\"#/]([A-Za-z_][\w:.-]*)", error)
    if "ims org" in error:
        words.append("imsOrgId")
    if "xdm format" in error:
        words += ["schemaRef", "header", "body"]
    return list(dict.fromkeys(words))


def _find(settings: Settings, place: Coordinates) -> tuple[StoredDeadLetter | None, Mark | None]:
    from bridge.replay.marks import Replayed
    from bridge.replay.reading import topics_of

    with reading(settings) as reader:
        there = topics_of(settings)
        if place.topic in there or settings.is_dead_letter_topic(place.topic):
            letter = reader.one(place)
        else:
            letter = next(
                (letter for letter in reader.letters(reader.bounds(there)) if letter.source == place), None
            )
        return letter, None if letter is None else Replayed.read(settings, reader).of(letter)


def stats(config: ConfigOption, topic: Topic = None, output: Output = Form.AUTO) -> None:
    """Count dead letters by dead-letter topic, reason, number of failures before, and whether they were replayed since.

    Example: `aep-bridge dlq stats --config bridge.yaml -o json`
    """
    from collections import Counter

    counts: Counter[tuple[str, str, str, int, bool]] = Counter()
    for letter, mark in letters(settings_of(config), topic):
        counts[letter.place.topic, letter.source.topic, letter.reason, letter.count, mark is not None] += 1
    names = ("topic", "source_topic", "reason", "replay_count", "replayed")
    if as_json(output):
        typer.echo(
            json.dumps(
                {
                    "total": counts.total(),
                    "groups": [
                        dict(zip(names, key, strict=True)) | {"count": n} for key, n in sorted(counts.items())
                    ],
                }
            )
        )
        return
    rows = [[*map(str, key[:4]), "yes" if key[4] else "no", f"{n:,}"] for key, n in sorted(counts.items())]
    table(["dead-letter topic", "from", "reason", "failures before", "replayed since", "count"], rows)
    typer.echo(f"{counts.total():,} dead letters")
