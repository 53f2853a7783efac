"""`aep-bridge run`: the service."""

from __future__ import annotations

import typer

from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import stop


def run(config: ConfigOption) -> None:
    """Run the bridge: join the consumer group, deliver, commit only what is settled.

    Stops on SIGTERM: it settles what it has read, commits, leaves the group. A second SIGTERM ends it at
    once.

    Example: `aep-bridge run --config config/aep-bridge.yaml`
    """
    from bridge.ops import tuning

    tuning.tune_allocator()
    settings = settings_of(config)
    from bridge.ops.logs import configure

    configure(settings.logging.level, settings.logging.format)
    from bridge.app.service import Service
    from bridge.kafka.client_errors import PropertiesRefused

    try:
        service = Service(settings)
    except PropertiesRefused as error:
        raise stop(f"{config}: kafka.properties: {error}", 2) from None
    except (OSError, ValueError) as error:
        raise stop(f"{config}: {error}", 2) from None
    try:
        code = service.run()
    except PropertiesRefused as error:  # of the consumer, which is created here
        raise stop(f"{config}: kafka.properties: {error}", 2) from None
    raise typer.Exit(code)
