"""`aep-bridge dlq`: what could not be delivered, why, and once more."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.commands.loading import ConfigOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.dlq.letters import DeadLetter
    from bridge.dlq.plan import Plan
    from bridge.dlq.replay import Replay
    from bridge.dlq.selection import Selection
    from bridge.model import TopicPartition
    from bridge.settings import Settings

app = typer.Typer(
    help="Dead letters: what could not be delivered, why, and once more.\n\nExample: `aep-bridge dlq list --config bridge.yaml`", no_args_is_help=True
)

Topic = Annotated[list[str] | None, typer.Option("--topic", help="Only this dead-letter topic (repeatable). Default: all of the configuration's.")]
Reason = Annotated[str, typer.Option("--reason", help="A part of the reason, the status or the error text, in any case.")]
Since = Annotated[str, typer.Option("--since", help="Failed since: an age (90s, 15m, 2h, 7d) or a time (2026-11-24T12:00:00Z).")]
Dataset = Annotated[str, typer.Option("--dataset", help="Only letters for this dataset.")]
SourceTopic = Annotated[str, typer.Option("--source-topic", help="Only letters of records that were read from this topic.")]
Output = Annotated[str, typer.Option("--output", "-o", help="table, json, or auto: a table on a terminal.")]


def _as_json(output: str) -> bool:
    if output not in {"auto", "table", "json"}:
        raise _stop(f"-o {output}: give table, json or auto", 2)
    return output == "json" or (output == "auto" and not sys.stdout.isatty())


def _stop(text: str, code: int) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(code)


def _selection(reason: str, since: str, dataset: str, source_topic: str) -> Selection:
    from bridge.dlq.selection import Selection
    from bridge.dlq.selection import since as moment

    try:
        return Selection(reason, moment(since), dataset, source_topic)
    except ValueError as error:
        raise _stop(f"--since {error}", 2) from None


def _letters(settings: Settings, topics: list[str] | None) -> Iterator[DeadLetter]:
    from bridge.dlq.reading import Reader, topics_of
    from bridge.topics import Unreachable

    try:
        names = topics_of(settings, topics or ())
        reader = Reader(settings)
        try:
            yield from reader.letters(reader.bounds(names))
        finally:
            reader.close()
    except LookupError as error:
        raise _stop(str(error), 2) from None
    except Unreachable as error:
        raise _stop(f"{settings.kafka.bootstrap_servers}: {error}; is it up, and may this principal read? `aep-bridge check` looks further", 3) from None


def _table(columns: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)


@app.command("list")
def list_(
    config: ConfigOption,
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
    output: Output = "auto",
) -> None:
    """Group dead letters by what is wrong: count, first and last seen, topics, one sample.

    Example: `aep-bridge dlq list --config bridge.yaml --since 2h`
    """
    from bridge.dlq.letters import stamp

    wanted = _selection(reason, since, dataset, source_topic)
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for letter in _letters(settings_of(config), topic):
        if wanted.takes(letter):
            group = groups.setdefault((letter.reason, letter.status, letter.normal), [0, letter.failed_ms, letter.failed_ms, set(), letter.place])
            group[0] += 1
            group[1], group[2] = min(group[1], letter.failed_ms), max(group[2], letter.failed_ms)
            group[3].add(letter.source.topic)
    found = [
        {"reason": key[0], "status": key[1] or None, "error": key[2], "count": group[0], "first": stamp(group[1]), "last": stamp(group[2])}
        | {"topics": sorted(group[3]), "sample": str(group[4])}
        for key, group in sorted(groups.items(), key=lambda item: -item[1][0])
    ]
    if _as_json(output):
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not found:
        typer.echo("no dead letters")
        return
    rows = [
        [f"{row['count']:,}", f"{row['reason']} {row['status'] or ''}", row["error"], row["first"], row["last"], ", ".join(row["topics"]), row["sample"]]
        for row in found
    ]
    _table(["count", "reason", "error", "first seen", "last seen", "topics", "sample"], rows)
    typer.echo(f"Look at one: aep-bridge dlq show {found[0]['sample']} --config {config}")


@app.command()
def show(
    record: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The dead letter's place, or the source record's.")],
    config: ConfigOption,
    raw: Annotated[bool, typer.Option("--raw", help="Only the payload, byte for byte.")] = False,
    output: Output = "auto",
) -> None:
    """Show one dead letter: the error, where it came from, and the payload.

    Example: `aep-bridge dlq show web-events.dlq/0/17 --config bridge.yaml`
    """
    from bridge.dlq.letters import Place

    name, _, offset = record.rpartition("/")
    name, _, partition = name.rpartition("/")
    if not name or not partition.isdecimal() or not offset.isdecimal():
        raise _stop(f"{record}: write TOPIC/PARTITION/OFFSET, such as web-events.dlq/0/17", 2)
    letter = _find(settings_of(config), Place(name, int(partition), int(offset)))
    if letter is None:
        raise _stop(f"{record}: no dead letter is there, and none came from there; `aep-bridge dlq list` shows samples", 1)
    value = letter.record.value() or b""
    if raw:
        sys.stdout.buffer.write(value)
        return
    try:
        payload: Any = json.loads(value)
    except ValueError:
        payload = None
    headers = [[header, (text or b"").decode("utf-8", "replace")] for header, text in letter.record.headers() or ()]
    key = (letter.record.key() or b"").decode("utf-8", "replace")
    if _as_json(output):
        shown = {**letter.as_json(), "key": key, "headers": headers, "payload": payload if payload is not None else value.decode("utf-8", "replace")}
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.syntax import Syntax

    console = Console()
    console.print(f"[bold red]{escape(letter.error)}[/]")
    for label, text in letter.as_json().items():
        if text is not None and label != "error":
            console.print(f"  [dim]{label.replace('_', ' '):<14}[/] {escape(str(text))}")
    console.print(f"  [dim]{'key':<14}[/] {escape(key)}")
    fields = _complaints(letter.error)
    console.print(f"[bold]payload[/], {len(value):,} bytes" + (f"; AEP complained about: [red]{escape(', '.join(fields))}[/]" if fields else ""))
    text = json.dumps(payload, indent=2, ensure_ascii=False) if payload is not None else value.decode("utf-8", "backslashreplace")
    marked = {at for at, line in enumerate(text.splitlines(), 1) if any(f'"{field}"' in line for field in fields)}
    console.print(Syntax(text[:20_000], "json" if payload is not None else "text", line_numbers=True, highlight_lines=marked, background_color="default"))


def _complaints(error: str) -> list[str]:
    """Names of fields that an error text mentions."""
    import re

    words = re.findall(r"['\"#/]([A-Za-z_][\w:.-]*)", error)
    if "ims org" in error:
        words.append("imsOrgId")
    if "xdm format" in error:
        words += ["schemaRef", "header", "body"]
    return list(dict.fromkeys(words))


def _find(settings: Settings, place: Any) -> DeadLetter | None:
    from bridge.dlq.reading import Reader, topics_of
    from bridge.topics import Unreachable

    try:
        there = topics_of(settings)
        reader = Reader(settings)
        try:
            if place.topic in there or place.topic.endswith(".parked"):
                return reader.one(place)
            return next((letter for letter in reader.letters(reader.bounds(there)) if letter.source == place), None)
        finally:
            reader.close()
    except Unreachable as error:
        raise _stop(f"{settings.kafka.bootstrap_servers}: {error}", 3) from None


@app.command()
def export(
    config: ConfigOption,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; default: standard output.")] = None,
    format: Annotated[str, typer.Option("--format", help="ndjson or csv.")] = "ndjson",  # noqa: A002 - the option's name
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
) -> None:
    """Write dead letters as NDJSON or CSV: error, provenance, key, payload (base64 where it is no text).

    Example: `aep-bridge dlq export --config bridge.yaml --format csv --reason 400 --to refused.csv`
    """
    import csv

    if format not in {"ndjson", "csv"}:
        raise _stop(f"--format {format}: give ndjson or csv", 2)
    wanted = _selection(reason, since, dataset, source_topic)
    settings = settings_of(config)
    count = 0
    try:
        stream = sys.stdout if to is None else to.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise _stop(f"{to}: {error.strerror}", 2) from None
    writer: Any = None
    try:
        for letter in _letters(settings, topic):
            if not wanted.takes(letter):
                continue
            row = {**letter.as_json(), **_text_of(letter.record.key(), "key"), **_text_of(letter.record.value(), "payload")}
            count += 1
            if format == "ndjson":
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                continue
            if writer is None:
                writer = csv.writer(stream)
                writer.writerow(row)
            writer.writerow(["" if value is None else value for value in row.values()])
    finally:
        if to is not None:
            stream.close()
    typer.echo(f"{count:,} dead letters", err=True)


def _text_of(value: bytes | None, name: str) -> dict[str, str | None]:
    import base64

    try:
        return {name: None if value is None else value.decode(), f"{name}_base64": None}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(value or b"").decode()}


@app.command()
def stats(config: ConfigOption, topic: Topic = None, output: Output = "auto") -> None:
    """Count dead letters by dead-letter topic, reason and number of replays.

    Example: `aep-bridge dlq stats --config bridge.yaml -o json`
    """
    from collections import Counter

    counts: Counter[tuple[str, str, str, int]] = Counter()
    for letter in _letters(settings_of(config), topic):
        counts[letter.place.topic, letter.source.topic, letter.reason, letter.count] += 1
    names = ("topic", "source_topic", "reason", "replay_count")
    if _as_json(output):
        typer.echo(json.dumps({"total": counts.total(), "groups": [dict(zip(names, key, strict=True)) | {"count": n} for key, n in sorted(counts.items())]}))
        return
    _table(["dead-letter topic", "from", "reason", "replays", "count"], [[*map(str, key), f"{n:,}"] for key, n in sorted(counts.items())])
    typer.echo(f"{counts.total():,} dead letters")


@app.command()
def replay(
    config: ConfigOption,
    yes: Annotated[bool, typer.Option("--yes", "--execute", help="Do it. Without this, only says what would happen.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen: the default.")] = False,
    to: Annotated[str, typer.Option("--to", help="aep: through the bridge's engine. source: back to the topics that the records came from.")] = "aep",
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
    patch: Annotated[Path | None, typer.Option("--patch", help="A JSON Patch (RFC 6902) that mends each payload on the way.")] = None,
    leave_unpatched: Annotated[bool, typer.Option("--leave-unpatched", help="Leave letters that the patch does not fit where they are.")] = False,
    rate: Annotated[float, typer.Option("--rate", help="Records a second, at most; 0: as fast as AEP takes them.", min=0)] = 0,
    max_replays: Annotated[int, typer.Option("--max-replays", help="What was replayed so often goes to the parking topic instead.", min=1)] = 3,
    parking_topic: Annotated[str, typer.Option("--parking-topic", help="Default: the dead-letter topic's name with .parked behind it.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Start from the beginning, not from where an earlier replay with these filters stands.")] = False,
    output: Output = "auto",
) -> None:
    """Send dead letters again: first says how many would go where; with --yes it does it.

    Bounded by where the topics end now, so it never meets its own failures. Interrupted, it goes on where it stood: run the same command again.
    Each record goes once, however many letters it has. Dead letters stay where they are.

    Example: `aep-bridge dlq replay --config bridge.yaml --reason "ims org" --patch fix.json --rate 200 --yes`
    """
    settings = settings_of(config)
    if to not in {"aep", "source"}:
        raise _stop(f"--to {to}: give aep or source", 2)
    wanted = _selection(reason, since, dataset, source_topic)
    as_json = _as_json(output)
    from bridge.dlq.patch import Patch

    try:
        fix = None if patch is None else Patch(patch)
    except OSError as error:
        raise _stop(f"{patch}: {error.strerror}", 2) from None
    except ValueError as error:
        raise _stop(str(error), 2) from None
    # An age names another moment with each run; the filter as it was written is what makes it the same replay.
    from dataclasses import replace

    group = f"{settings.kafka.group_id}.replay.{replace(wanted, since_ms=0).key(since, to, *sorted(topic or ()))}"
    made = _planned(settings, topic, wanted, fix, max_replays, group, again=again)
    facts = {"group": group, "to": to, "replay": made.sending, "park": made.parking, "done_before": made.done, "repeats": made.repeats}
    facts |= {"not_meant": made.not_meant, "unpatchable": len(made.unpatchable), "letters": made.seen, "executed": yes and not dry_run}
    facts["where_to"] = [{"source_topic": name, "action": action, "count": count} for (name, action), count in sorted(made.where_to.items())]
    if not as_json:
        _tell(made, to)
    if made.unpatchable and not leave_unpatched:
        place, why = made.unpatchable[0]
        raise _stop(f"{len(made.unpatchable)} letters don't take the patch, first {place}: {why}; narrow the filters, or give --leave-unpatched", 1)
    strangers = sorted({name for (name, action) in made.where_to if action == "replay" and settings.entry_for(name) is None})
    if strangers and to == "aep":
        raise _stop(f"topic {strangers[0]} is not in the configuration's mapping; map it, or choose others with --source-topic", 2)
    if dry_run or not yes:
        typer.echo(json.dumps(facts) if as_json else "Nothing was sent: this was a dry run. Give --yes to do it.")
        return
    from bridge.dlq.replay import Replay

    parking = (lambda _: parking_topic) if parking_topic else "{}.parked".format
    run = Replay(settings, made, group, to_source=to == "source", patch=fix, rate=rate, parking=parking)
    position = _run(run, made.sending + made.parking)
    done, total = run.progress, made.sending + made.parking
    facts |= {"accepted": done.accepted, "dead_lettered_again": done.again, "parked": done.parked, "left": max(0, total - done.settled)}
    facts |= {"finished": done.finished, "position": {str(where): offset for where, offset in sorted(position.items())}}
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(f"{done.accepted:,} delivered, {done.again:,} dead-lettered again, {done.parked:,} parked, {facts['left']:,} left")
        if not done.finished:
            where = ", ".join(f"{at} of {made.bounds.end[partition]} in {partition}" for partition, at in sorted(position.items()))
            typer.echo(f"Interrupted at {where}. Nothing is lost: run the same command to go on.")
    raise typer.Exit(0 if done.finished and not done.again else 1)


def _planned(settings: Settings, topic: list[str] | None, wanted: Selection, fix: Any, max_replays: int, group: str, *, again: bool) -> Plan:
    from bridge.dlq.plan import plan
    from bridge.dlq.reading import Reader, committed, topics_of
    from bridge.topics import Unreachable

    try:
        names = topics_of(settings, topic or ())
        if not names:
            raise _stop("no dead-letter topic exists yet: there is nothing to replay", 0)
        if again:
            _forget(settings, group)
        reader = Reader(settings)
        try:
            bounds = reader.bounds(names)
            return plan(reader.letters(bounds), bounds, committed(settings, group, bounds), wanted, fix, max_replays)
        finally:
            reader.close()
    except LookupError as error:
        raise _stop(str(error), 2) from None
    except Unreachable as error:
        raise _stop(f"{settings.kafka.bootstrap_servers}: {error}", 3) from None


def _forget(settings: Settings, group: str) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        AdminClient(settings.admin_properties()).delete_consumer_groups([group])[group].result(15)
    except KafkaException as problem:
        error = problem.args[0]
        if error.code() != KafkaError.GROUP_ID_NOT_FOUND:
            hint = "; another replay with these filters is running" if error.code() == KafkaError.NON_EMPTY_GROUP else ""
            raise _stop(f"the position of {group} can't be forgotten: {error.str()}{hint}", 1) from None


def _tell(made: Plan, to: str) -> None:
    rows = [[name, "parking topic" if action == "park" else "AEP" if to == "aep" else f"topic {name}", f"{n:,}"] for (name, action), n in made.where_to.items()]
    _table(["records of", "to", "letters"], sorted(rows))
    typer.echo(
        f"{made.seen:,} dead letters: {made.sending:,} to replay, {made.parking:,} to park, {made.done:,} done by an earlier replay, "
        f"{made.repeats:,} repeats of the same record, {made.not_meant:,} not chosen, {len(made.unpatchable):,} that the patch does not fit"
    )
    for reason, count in made.reasons.most_common(5):
        typer.echo(f"  {count:,} × {reason}")


def _run(run: Replay, total: int) -> dict[TopicPartition, int]:
    """Runs it in the foreground: the first signal stops in good order, the second at once."""
    import os
    import signal
    import threading

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bridge.dlq.replay import NotAcknowledged
    from bridge.logs import configure
    from bridge.ports import Fatal
    from bridge.topics import TopicError, Unreachable

    configure("critical", "auto", sys.stderr)

    def first(_number: int, _frame: object) -> None:
        for which in (signal.SIGTERM, signal.SIGINT):
            signal.signal(which, lambda number, _: os._exit(128 + number))
        run.stop()

    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, first)
    over = threading.Event()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=total)

        def paint() -> None:
            told = ""
            while not over.wait(0.2):
                waits = run.progress.waits
                bar.update(task, completed=run.progress.settled, description=waits or "replaying")
                reason = waits.partition(", next try")[0]
                if not console.is_terminal and reason not in {"", told}:
                    told = reason
                    typer.echo(f"{run.progress.settled:,} of {total:,} done; waits: {waits}", err=True)

        threading.Thread(target=paint, daemon=True).start()
        try:
            return run.run()
        except (Fatal, NotAcknowledged, TopicError) as error:
            raise _stop(f"{error}; {run.progress.settled:,} of {total:,} are done, and the same command goes on", 1) from None
        except Unreachable as error:
            raise _stop(str(error), 3) from None
        finally:
            over.set()
            bar.update(task, completed=run.progress.settled)
