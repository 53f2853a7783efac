"""`aep-bridge check`: everything that can be wrong before a deploy, one line each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.loading import ConfigOption
from bridge.cli.output import Form, Output, as_json, stop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.check import Finding

_COLOURS = {"ok": "green", "WARN": "yellow", "FAIL": "red"}


def check(
    config: ConfigOption,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only what needs no connection: file, environment, memory.")
    ] = False,
    send_test: Annotated[
        str,
        typer.Option(
            metavar="TOPIC",
            help="Also send one record of this topic, with AEP's own validation, and show the verdict. "
            "Not with --offline.",
        ),
    ] = "",
    replicas: Annotated[
        int,
        typer.Option(
            min=0, help="How many replicas are planned, to compare with the partitions; 0: not known."
        ),
    ] = 0,
    output: Output = Form.AUTO,
) -> None:
    """Check everything that can be wrong before a deploy. Changes nothing.

    Each line is ok, WARN or FAIL, with what was found and what to do: the configuration and the environment
    around it, memory; brokers, TLS and SASL; topics, permissions, dead-letter topics, the group, partitions
    against replicas; proxies, tokens, the clock, inlets.

    Exit codes: 0 fine (warnings included), 1 something failed, 2 the configuration is wrong, 3 an upstream
    can't be reached.

    Example: `aep-bridge check --config config/aep-bridge.yaml --send-test web-events --replicas 3`
    """
    import os
    from itertools import chain

    from bridge import check as checks
    from bridge.config.loader import ConfigurationError, load

    if offline and send_test:
        raise stop(
            "--offline and --send-test exclude each other: sending a record needs connections; "
            "leave out one of them",
            2,
        )
    scripted = as_json(output)
    try:
        settings = load(config, os.environ)
    except ConfigurationError as error:
        problems = [checks.Finding(checks.Level.FAIL, "configuration", text) for text in error.problems]
        _show(problems, scripted=scripted)
        raise typer.Exit(2) from None
    findings: Iterable[Finding] = checks.offline(settings)
    if not offline:
        findings = chain(findings, checks.online(settings, replicas))
    if send_test:
        findings = chain(findings, checks.send_test(settings, send_test))
    raise typer.Exit(checks.exit_code(_show(findings, scripted=scripted)))


def _show(findings: Iterable[Finding], *, scripted: bool) -> list[Finding]:
    """Print each finding as soon as it is there, or all of them at the end as JSON; return them."""
    shown = []
    for finding in findings:
        shown.append(finding)
        if not scripted:
            level = typer.style(f"{finding.level.value:<4}", fg=_COLOURS[finding.level.value])
            typer.echo(f"{level}  {finding.subject}: {finding.text}")
            if finding.next_step:
                typer.echo(f"      → {finding.next_step}")
    if scripted:
        typer.echo(json.dumps([finding.as_json() for finding in shown], indent=2))
    return shown
