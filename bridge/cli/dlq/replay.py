"""`aep-bridge dlq replay`: deliver dead letters again, to AEP or to the topics that they came from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.dlq.options import (
    Dataset,
    Reason,
    Since,
    SourceTopic,
    Topic,
    open_reader,
    selection_of,
)
from bridge.cli.dlq.replay_output import plan_as_json, print_plan, print_result, result_as_json
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json, stop

if TYPE_CHECKING:
    from bridge.config.settings import Settings
    from bridge.model import TopicPartition
    from bridge.replay.patch import Patch
    from bridge.replay.plan import Plan
    from bridge.replay.replay import Replay
    from bridge.replay.selection import Selection


def replay(
    config: ConfigOption,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "--execute", help="Do it. Without this, the command only says what it would do."
        ),
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
        typer.Option("--patch", help="A JSON Patch (RFC 6902) that corrects each payload on the way."),
    ] = None,
    leave_unpatched: Annotated[
        bool,
        typer.Option(
            "--leave-unpatched", help="Leave dead letters that the patch does not fit where they are."
        ),
    ] = False,
    rate: Annotated[
        float, typer.Option("--rate", help="Records a second, at most; 0: as fast as AEP takes them.", min=0)
    ] = 0,
    max_replays: Annotated[
        int,
        typer.Option(
            "--max-replays",
            help="Send what was replayed this often to the parking topic instead.",
            min=1,
        ),
    ] = 3,
    parking_topic: Annotated[
        str,
        typer.Option("--parking-topic", help="Default: the dead-letter topic's name with .parked behind it."),
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also send those that an earlier replay has sent already.")
    ] = False,
    output: Output = Form.AUTO,
) -> None:
    """Send dead letters again. Without --yes, the command only says how many would go where.

    A replay ends where the topics end when it starts, so it never meets its own failures. If it is
    interrupted, run the same command again: it goes on where it stood. Each record is sent once, however
    many dead letters it has, and whatever filters selected it before; a record that fails again has a new
    dead letter, and is sent again. Dead letters stay where they are. One replay runs at a time: a second
    one waits a moment for the first, and is refused.

    Exit codes: 0 all delivered or parked, 1 some were refused again or it was interrupted, 2 usage or
    configuration, 3 Kafka can't be reached.

    Example: `aep-bridge dlq replay --config bridge.yaml --reason "ims org" --patch fix.json --rate 200
    --yes`
    """
    settings = settings_of(config)
    if to not in {"aep", "source"}:
        raise stop(f"--to {to}: give aep or source", 2)
    to_source, execute = to == "source", yes and not dry_run
    selection = selection_of(reason, since, dataset, source_topic)
    scripted = as_json(output)
    correction = _patch_of(patch)
    plan = _plan(settings, topic or [], selection, correction, max_replays, again=again)
    if not scripted:
        print_plan(plan, to)
    _check(plan, settings, to_source=to_source, leave_unpatched=leave_unpatched)
    facts = plan_as_json(plan, settings, to, executed=execute)
    if not execute:
        note = "Nothing was sent: this was a dry run. Give --yes to do it."
        typer.echo(json.dumps(facts) if scripted else note)
        return
    _check_parking_topic(parking_topic, settings)
    run = _replay(
        settings, plan, to_source=to_source, patch=correction, rate=rate, parking_topic=parking_topic
    )
    total = plan.to_send + plan.to_park
    position = _run(run, total)
    progress = run.progress
    if scripted:
        typer.echo(json.dumps(facts | result_as_json(progress, total, position)))
    else:
        print_result(plan, progress, total, position)
    raise typer.Exit(0 if progress.finished and not progress.dead_lettered_again else 1)


def _patch_of(path: Path | None) -> Patch | None:
    from bridge.replay.patch import Patch

    try:
        return None if path is None else Patch(path)
    except OSError as error:
        raise stop(f"{path}: {error.strerror}", 2) from None
    except ValueError as error:
        raise stop(str(error), 2) from None


def _plan(
    settings: Settings,
    topics: list[str],
    selection: Selection,
    patch: Patch | None,
    max_replays: int,
    *,
    again: bool,
) -> Plan:
    from bridge.replay import reading
    from bridge.replay.marks import ReplayMarks
    from bridge.replay.plan import make_plan

    with open_reader(settings) as reader:
        counts = reading.dead_letter_topics(settings, topics)
        if not counts:
            raise stop("no dead-letter topic exists yet: there is nothing to replay", 0)
        marks = reader.marks()
        if again:
            marks = ReplayMarks(end=marks.end)
        bounds = reader.bounds(counts)
        letters = reader.dead_letters(bounds)
        return make_plan(letters, bounds, marks, selection, patch, max_replays)


def _check(plan: Plan, settings: Settings, *, to_source: bool, leave_unpatched: bool) -> None:
    from bridge.replay.preflight import PatchDoesNotFit, WrongDestination, check_plan

    try:
        check_plan(plan, settings, to_source=to_source, leave_unpatched=leave_unpatched)
    except PatchDoesNotFit as error:
        raise stop(str(error), 1) from None
    except WrongDestination as error:
        raise stop(str(error), 2) from None


def _check_parking_topic(topic: str, settings: Settings) -> None:
    from bridge.replay.preflight import WrongDestination, check_parking_topic

    try:
        check_parking_topic(topic, settings)
    except WrongDestination as error:
        raise stop(str(error), 2) from None


def _replay(settings: Settings, plan: Plan, **options: Any) -> Replay:
    from bridge.kafka.client_errors import PropertiesRefused
    from bridge.replay.replay import Replay

    try:
        return Replay(settings, plan, **options)
    except PropertiesRefused as error:  # of the producer; the reader's were accepted before
        raise stop(f"kafka.properties: {error}", 2) from None


def _run(run: Replay, total: int) -> dict[TopicPartition, int]:
    """Run it under a progress bar, and turn its errors into exit codes.

    The first signal stops it in good order.
    """
    from bridge.cli.dlq.progress_bar import ProgressBar
    from bridge.kafka.acknowledged_producer import NotAcknowledged
    from bridge.kafka.client_errors import Unreachable
    from bridge.kafka.topics import TopicError
    from bridge.ops.logs import configure
    from bridge.ops.shutdown import stop_on_signal
    from bridge.ports import Fatal
    from bridge.replay.lock import CannotStart

    configure("critical", "auto", sys.stderr)
    try:
        with stop_on_signal(run.stop), ProgressBar(run.progress, total):
            return run.run()
    except (Fatal, NotAcknowledged, TopicError) as error:
        settled = run.progress.settled
        raise stop(f"{error}; {settled:,} of {total:,} are done, and the same command goes on", 1) from None
    except CannotStart as error:
        raise stop(f"{error}. Nothing was sent.", 1) from None
    except Unreachable as error:
        raise stop(str(error), 3) from None
