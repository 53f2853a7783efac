"""`aep-bridge simulate`: the local AEP alone, for users' own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import stop
from bridge.simulator.config import DEFAULT_INLET, DEFAULT_ORG, DEFAULT_PORT, Config

if TYPE_CHECKING:
    from bridge.simulator import Simulator


def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = DEFAULT_PORT,
    org: Annotated[str, typer.Option(help="The organisation that every message must name.")] = DEFAULT_ORG,
    inlet: Annotated[str, typer.Option(help="The inlet's id.")] = DEFAULT_INLET,
    require_auth: Annotated[
        bool, typer.Option("--require-auth", help="Refuse requests without a valid token.")
    ] = False,
    latency_ms: Annotated[float, typer.Option(help="Milliseconds before each response.", min=0)] = 0,
    rate: Annotated[
        float, typer.Option(help="Messages a second; more are refused with 429. 0 is no limit.", min=0)
    ] = 0,
    tls_cert: Annotated[str | None, typer.Option(help="Certificate (PEM), to serve HTTPS.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="The certificate's key (PEM).")] = None,
) -> None:
    """Run a local AEP: streaming ingestion, tokens, and faults on demand.

    It prints the configuration that a bridge needs to send to it. Ctrl-C ends it.

    Example: `aep-bridge simulate --port 9299 --require-auth --rate 5000`
    """
    from bridge.simulator import run

    if bool(tls_cert) != bool(tls_key):
        raise stop("--tls-cert and --tls-key belong together: give both, or neither", 2)
    config = Config(
        host=host,
        port=port,
        org=org,
        inlets={inlet: "xdm"},
        require_auth=require_auth,
        latency_ms=latency_ms,
        messages_per_s=rate,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    try:
        run(config, lambda sim: typer.echo(announcement(sim)))
    except OSError as error:
        raise stop(
            f"can't listen on {host}:{port}: {error}; choose another --port, or check the certificate's path",
            2,
        ) from None


def announcement(sim: Simulator) -> str:
    """Return where the simulator listens, and the configuration that a bridge needs to send to it."""
    config = sim.config
    lines = [
        f"A local AEP listens on {sim.url}",
        "",
        "aep:",
        f"  inlet_url: {sim.inlet_url}",
        f"  ims_org_id: {config.org}",
    ]
    if config.require_auth:
        lines += [
            "  auth:",
            f"    token_url: {sim.token_url}",
            f"    client_id: {config.client_id}",
            f"    client_secret: {config.client_secrets[0]}",
        ]
    admin = f"{sim.url}/__admin"
    lines += ["", f"Accepted: {admin}/accepted   Faults: {admin}/faults   Numbers: {admin}/stats"]
    return "\n".join(lines)
