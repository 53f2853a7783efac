"""`aep-bridge run`: the service."""

from __future__ import annotations

import typer

from bridge.cli.loading import ConfigOption, settings_of


def run(config: ConfigOption) -> None:
    """Run the bridge: join the consumer group, deliver, commit only what is settled.

    Stops on SIGTERM: it settles what it has read, commits, leaves the group. A second SIGTERM ends it at once.

    Example: `aep-bridge run --config config/aep-bridge.yaml`
    """
    from bridge.ops import tuning

    tuning.allocator()
    settings = settings_of(config)
    from bridge.ops.logs import configure

    configure(settings.logging.level, settings.logging.format)
    from confluent_kafka import KafkaException

    from bridge.app.service import Service

    try:
        service = Service(settings)
    except (OSError, ValueError) as error:
        typer.echo(f"{config}: {error}", err=True)
        raise typer.Exit(2) from None
    except KafkaException as error:
        typer.echo(f"{config}: kafka.properties: {error.args[0].str()}", err=True)
        raise typer.Exit(2) from None
    try:
        code = service.run()
    except KafkaException as error:
        typer.echo(f"{config}: kafka.properties: {error.args[0].str()}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)
