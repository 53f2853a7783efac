"""`aep-bridge check`: everything that can be wrong before a deploy, one line each."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.commands.loading import ConfigOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.check import Finding


def check(
    config: ConfigOption,
    offline: Annotated[bool, typer.Option("--offline", help="Only what needs no connection: file, environment, memory.")] = False,
    send_test: Annotated[str, typer.Option(metavar="TOPIC", help="Also send one record of this topic, with AEP's own validation, and show the verdict.")] = "",
    output: Annotated[str, typer.Option("--output", "-o", help="table, json, or auto: a table on a terminal.")] = "auto",
) -> None:
    """Check the configuration, brokers, topics, permissions, dead-letter topics, group, tokens and inlets. Changes nothing.

    Exit codes: 0 fine (warnings included), 1 something failed, 2 the configuration is wrong, 3 an upstream can't be reached.

    Example: `aep-bridge check --config config/aep-bridge.yaml --send-test web-events`
    """
    settings = settings_of(config)
    from itertools import chain

    from bridge import check as checks

    findings: Iterable[Finding] = checks.offline(settings)
    if not offline:
        findings = chain(findings, checks.online(settings), checks.send_test(settings, send_test) if send_test else ())
    as_json = output == "json" or (output == "auto" and not sys.stdout.isatty())
    seen = []
    for finding in findings:
        seen.append(finding)
        if not as_json:
            colour = {"ok": "green", "WARN": "yellow", "FAIL": "red"}[finding.level.value]
            typer.echo(f"{typer.style(f'{finding.level.value:<4}', fg=colour)}  {finding.what}: {finding.found}")
            if finding.do:
                typer.echo(f"      → {finding.do}")
    if as_json:
        typer.echo(json.dumps([{"level": each.level.value, "what": each.what, "found": each.found, "do": each.do} for each in seen], indent=2))
    failed = [finding for finding in seen if finding.level is checks.Level.FAIL]
    raise typer.Exit(0 if not failed else 3 if any(finding.unreachable for finding in failed) else 1)
