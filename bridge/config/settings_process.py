"""The sections `admin` and `logging`: what the process shows of itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridge.config.section import FilePath, Section, Text


class AdminSettings(Section):
    """The port for probes, metrics and the status page."""

    # In a pod, probes and scrapes come from outside.
    host: Text = "0.0.0.0"  # noqa: S104
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port of /livez, /readyz, /metrics and the status page. 0: any free port."""
    token_file: FilePath | None = None
    """File with the bearer token that `aep-bridge skip` must send. Without it the bridge takes no orders.
    The file is read again for each order."""


class LoggingSettings(Section):
    """What is logged, to standard output."""

    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """The lowest level that is logged."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable text on a terminal, JSON elsewhere."""
