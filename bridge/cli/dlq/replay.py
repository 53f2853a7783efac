"""`aep-bridge dlq replay`: dead letters once more, to AEP or to the topics that they came from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.dlq.options import Dataset, Reason, Since, SourceTopic, Topic, reading, selection, stop, table
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json, printable

if TYPE_CHECKING:
    from bridge.config.settings import Settings
    from bridge.model import TopicPartition
    from bridge.replay.patch import Patch
    from bridge.replay.plan import Does, Plan
    from bridge.replay.replay import Replay
    from bridge.replay.selection import Selection


def replay(
    config: ConfigOption,
    yes: Annotated[
        bool, typer.Option("--yes", "--execute", help="Do it. Without this, only says what would happen.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would happen: the default.")
    ] = False,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="aep: through the bridge's engine. source: back to the topics that the records came from.",
        ),
    ] = "aep",
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
    patch: Annotated[
        Path | None,
        typer.Option("--patch", help="A JSON Patch (RFC 6902) that mends each payload on the way."),
    ] = None,
    leave_unpatched: Annotated[
        bool,
        typer.Option("--leave-unpatched", help="Leave letters that the patch does not fit where they are."),
    ] = False,
    rate: Annotated[
        float, typer.Option("--rate", help="Records a second, at most; 0: as fast as AEP takes them.", min=0)
    ] = 0,
    max_replays: Annotated[
        int,
        typer.Option(
            "--max-replays", help="What was replayed so often goes to the parking topic instead.", min=1
        ),
    ] = 3,
    parking_topic: Annotated[
        str,
        typer.Option("--parking-topic", help="Default: the dead-letter topic's name with .parked behind it."),
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also those that an earlier replay has sent already.")
    ] = False,
    output: Output = Form.AUTO,
) -> None:
    """Send dead letters again: first says how many would go where; with --yes it does it.

    Bounded by where the topics end now, so it never meets its own failures. Interrupted, it goes on where it stood: run the same command again.
    Each record goes once, however many letters it has, and whatever filters chose it before; what fails again is a new letter, and goes again.
    Dead letters stay where they are. One replay runs at a time: a second one waits a moment for the first, and is refused.

    Exit codes: 0 all delivered or parked, 1 some were refused again or it was interrupted, 2 usage or configuration, 3 Kafka can't be reached.

    Example: `aep-bridge dlq replay --config bridge.yaml --reason "ims org" --patch fix.json --rate 200 --yes`
    """
    settings = settings_of(config)
    if to not in {"aep", "source"}:
        raise stop(f"--to {to}: give aep or source", 2)
    wanted = selection(reason, since, dataset, source_topic)
    scripted = as_json(output)
    from bridge.replay.lock import group_of
    from bridge.replay.patch import Patch
    from bridge.replay.plan import Does

    try:
        fix = None if patch is None else Patch(patch)
    except OSError as error:
        raise stop(f"{patch}: {error.strerror}", 2) from None
    except ValueError as error:
        raise stop(str(error), 2) from None
    made = _planned(settings, topic, wanted, fix, max_replays, again=again)
    facts: dict[str, Any] = {
        "group": group_of(settings),
        "to": to,
        "replay": made.sending,
        "park": made.parking,
        "done_before": made.count(Does.DONE),
    }
    facts |= {
        "repeats": made.repeats,
        "not_meant": made.count(Does.NOT_MEANT),
        "unpatchable": made.count(Does.UNPATCHABLE),
        "letters": made.seen,
    }
    facts |= {
        "executed": yes and not dry_run,
        "where_to": [_row(*key, count) for key, count in made.where_to.items()],
    }
    if not scripted:
        _tell(made, to)
    if made.unpatchable is not None and not leave_unpatched:
        place, why = made.unpatchable
        raise stop(
            f"{made.count(Does.UNPATCHABLE)} letters don't take the patch, first {place}: {why}; narrow the filters, or give --leave-unpatched",
            1,
        )
    strangers = sorted(
        {name for name, does in made.where_to if does is Does.SEND and settings.entry_for(name) is None}
    )
    if strangers and to == "aep":
        raise stop(
            f"topic {strangers[0]} is not in the configuration's mapping; map it, or choose others with --source-topic",
            2,
        )
    homeless = [
        name for name, does in made.where_to if does is Does.SEND and settings.is_dead_letter_topic(name)
    ]
    if homeless and to == "source":
        raise stop(
            f"letters in {homeless[0]} don't say which topic they came from; replay them with --to aep, or choose others with --source-topic",
            2,
        )
    if dry_run or not yes:
        typer.echo(
            json.dumps(facts) if scripted else "Nothing was sent: this was a dry run. Give --yes to do it."
        )
        return
    from bridge.config.settings import PARKED
    from bridge.replay.replay import Replay

    if (
        parking_topic
        and settings.entry_for(parking_topic) is not None
        and not settings.is_dead_letter_topic(parking_topic)
    ):
        raise stop(
            f"--parking-topic {parking_topic}: is matched by the configuration's mapping, so the bridge would read it; choose another name",
            2,
        )
    parking = (lambda _: parking_topic) if parking_topic else f"{{}}{PARKED}".format
    run = Replay(settings, made, to_source=to == "source", patch=fix, rate=rate, parking=parking)
    position = _run(run, made.sending + made.parking)
    done, total = run.progress, made.sending + made.parking
    facts |= {
        "accepted": done.accepted,
        "dead_lettered_again": done.again,
        "parked": done.parked,
        "left": max(0, total - done.settled),
    }
    facts |= {
        "finished": done.finished,
        "position": {str(where): offset for where, offset in sorted(position.items())},
    }
    if scripted:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(
            f"{done.accepted:,} delivered, {done.again:,} dead-lettered again, {done.parked:,} parked, {facts['left']:,} left"
        )
        if not done.finished:
            where = ", ".join(
                f"{at} of {made.bounds.end[partition]} in {partition}"
                for partition, at in sorted(position.items())
            )
            typer.echo(f"Interrupted at {where}. Nothing is lost: run the same command to go on.")
    raise typer.Exit(0 if done.finished and not done.again else 1)


def _planned(
    settings: Settings,
    topic: list[str] | None,
    wanted: Selection,
    fix: Patch | None,
    max_replays: int,
    *,
    again: bool,
) -> Plan:
    from bridge.replay.marks import Replayed
    from bridge.replay.plan import plan
    from bridge.replay.reading import topics_of

    with reading(settings) as reader:
        names = topics_of(settings, topic or ())
        if not names:
            raise stop("no dead-letter topic exists yet: there is nothing to replay", 0)
        replayed = Replayed.read(settings, reader)
        if again:
            end, replayed = replayed.end, Replayed()
            replayed.end = end
        bounds = reader.bounds(names)
        return plan(reader.letters(bounds), bounds, replayed, wanted, fix, max_replays)


def _row(origin: str, does: Does, count: int) -> dict[str, Any]:
    return {"source_topic": origin, "action": "replay" if does == 0 else "park", "count": count}


def _tell(made: Plan, to: str) -> None:
    from bridge.replay.plan import Does

    goal = {Does.SEND: "AEP" if to == "aep" else "their topic", Does.PARK: "parking topic"}
    table(
        ["records of", "to", "letters"],
        [[origin, goal[does], f"{count:,}"] for (origin, does), count in made.where_to.items()],
    )
    typer.echo(
        f"{made.seen:,} dead letters: {made.sending:,} to replay, {made.parking:,} to park, {made.count(Does.DONE):,} replayed already, "
        f"{made.repeats:,} repeats of the same record, {made.count(Does.NOT_MEANT):,} not chosen, {made.count(Does.UNPATCHABLE):,} that the patch does not fit"
    )
    for reason, count in made.reasons:
        typer.echo(f"  {count:,} × {printable(reason)}")


def _run(run: Replay, total: int) -> dict[TopicPartition, int]:
    """Runs it in the foreground: the first signal stops in good order, the second at once."""
    import os
    import signal
    import threading

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bridge.kafka.topics import TopicError, Unreachable
    from bridge.ops.logs import configure
    from bridge.ports import Fatal
    from bridge.replay.lock import Busy
    from bridge.replay.marks import NotAcknowledged

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
            raise stop(
                f"{error}; {run.progress.settled:,} of {total:,} are done, and the same command goes on", 1
            ) from None
        except Busy as error:
            raise stop(f"{error}. Nothing was sent.", 1) from None
        except Unreachable as error:
            raise stop(str(error), 3) from None
        finally:
            over.set()
            bar.update(task, completed=run.progress.settled)
