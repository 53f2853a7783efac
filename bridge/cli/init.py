"""`aep-bridge init`: a first configuration, out of answers, flags, or the JSON of Adobe's connector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.migration.connector import Translation

EXAMPLE_INLET = (
    "https://dcs.adobedc.net/collection/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)
_EXAMPLE_ORGANISATION = "0DD379AC5B117F6E0A494106@AdobeOrg"


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("bridge.yaml"),
    bootstrap_servers: Annotated[
        str, typer.Option(help="Kafka's brokers: host:port, several with commas.")
    ] = "",
    topic: Annotated[list[str] | None, typer.Option(help="A topic to read (repeatable).")] = None,
    inlet_url: Annotated[str, typer.Option(help="The streaming endpoint's URL, as AEP shows it.")] = "",
    ims_org_id: Annotated[str, typer.Option(help=f"The organisation, such as {_EXAMPLE_ORGANISATION}.")] = "",
    group_id: Annotated[str, typer.Option(help="The consumer group.")] = "aep-bridge",
    format: Annotated[  # noqa: A002 - the flag's own name
        str, typer.Option("--format", help="envelope: values are whole messages; entity: bare XDM entities.")
    ] = "envelope",
    dataset_id: Annotated[str, typer.Option(help="The dataset; required with entity.")] = "",
    schema_id: Annotated[str, typer.Option(help="The XDM schema's URL; required with entity.")] = "",
    client_id: Annotated[
        str, typer.Option(help="Of the OAuth credential; leave out for an inlet without authentication.")
    ] = "",
    client_secret_file: Annotated[Path, typer.Option(help="The file that holds the client secret.")] = Path(
        "client-secret"
    ),
    from_connect: Annotated[
        Path | None,
        typer.Option(
            "--from-connect", help="The JSON of Adobe's sink connector, whose settings to translate."
        ),
    ] = None,
    take_offsets: Annotated[
        bool,
        typer.Option(
            "--take-offsets",
            help="With --from-connect: also take over where its group stands. A dry run, without --yes.",
        ),
    ] = False,
    connect_group: Annotated[
        str, typer.Option("--connect-group", help="The connector's group; default: connect-<its name>.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Really set the offsets.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
) -> None:
    """Write a commented configuration. Asks for what is missing, on a terminal.

    Example: `aep-bridge init --bootstrap-servers kafka:9092 --topic web-events --inlet-url
    https://dcs.adobedc.net/collection/…`

    Example: `aep-bridge init --from-connect connector.json --bootstrap-servers kafka:9092 --take-offsets`
    """
    if path.exists() and not force and not take_offsets:
        raise stop(f"{path}: exists already; give another name, or --force", 2)
    if take_offsets and from_connect is None:
        raise stop("--take-offsets needs --from-connect, whose group it is about", 2)
    asking = sys.stdin.isatty() and not (bootstrap_servers and topic and inlet_url) and from_connect is None
    servers = bootstrap_servers or _ask("Kafka's brokers", "kafka:9092", "--bootstrap-servers")
    if from_connect is not None:
        translation = _translate(from_connect, servers, client_secret_file)
        if not path.exists() or force:
            _write_translation(path, translation, client_secret_file)
        if take_offsets:
            _take_over(path, connect_group or translation.group, yes=yes)
        return
    topics = topic or _ask("Topics, separated by commas", "web-events", "--topic").split(",")
    endpoint = inlet_url or _ask("The streaming endpoint's URL", EXAMPLE_INLET, "--inlet-url", _inlet_url)
    if asking:
        values = _ask_format(format, dataset_id, schema_id, ims_org_id)
        format, dataset_id, schema_id, ims_org_id = values  # noqa: A001 - the option's name
        client_id = client_id or typer.prompt(
            "Client id of the OAuth credential (empty: an inlet without authentication)",
            default="",
            show_default=False,
        )
    from bridge.migration.configuration_file import Answers, first_configuration

    answers = Answers(
        bootstrap_servers=servers,
        group_id=group_id,
        topics=tuple(name.strip() for name in topics if name.strip()),
        inlet_url=endpoint,
        ims_org_id=ims_org_id,
        format=format,
        dataset_id=dataset_id,
        schema_id=schema_id,
        client_id=client_id,
        client_secret_file=str(client_secret_file),
    )
    _write(path, first_configuration(answers))
    typer.echo(f"{path} is written. Next: aep-bridge check --config {path}")


# -- questions -------------------------------------------------------------------------


def _ask(what: str, example: str, option: str, parse: Callable[[str], str] = str.strip) -> str:
    """Ask on a terminal; elsewhere exit with 2 and name the option.

    What `parse` refuses is asked for again.
    """
    if not sys.stdin.isatty():
        raise stop(f"{option} is needed: {what[0].lower()}{what[1:]}, such as {example}", 2)
    return str(typer.prompt(what, default=example, value_proc=parse))


def _inlet_url(answer: str) -> str:
    from bridge.migration.configuration_file import check_inlet_url

    try:
        return check_inlet_url(answer)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _ask_format(values: str, dataset_id: str, schema_id: str, ims_org_id: str) -> tuple[str, str, str, str]:
    """Ask what the values are, and for bare entities what the bridge has to write around them."""
    whole = typer.confirm(
        "Are the values whole messages, with header and body (no: bare XDM entities, which the bridge wraps)",
        default=values != "entity",
    )
    if whole:
        return ("envelope" if values == "entity" else values), dataset_id, schema_id, ims_org_id
    return (
        "entity",
        dataset_id or typer.prompt("The dataset's id"),
        schema_id or typer.prompt("The XDM schema's URL (its $id)"),
        ims_org_id or typer.prompt(f"The organisation, such as {_EXAMPLE_ORGANISATION}"),
    )


# -- results ---------------------------------------------------------------------------


def _write(path: Path, config: dict[str, Any]) -> None:
    from bridge.config.loader import ConfigurationError
    from bridge.migration.configuration_file import write_configuration

    try:
        write_configuration(path, config)
    except OSError as error:
        raise stop(f"{path}: {error.strerror}", 2) from None
    except ConfigurationError as error:
        raise stop(f"{error}\n{path} is written all the same: correct it there", 2) from None


def _translate(file: Path, servers: str, secret_file: Path) -> Translation:
    from bridge.migration.connector import NotAConnector, translate

    try:
        return translate(file.read_text(encoding="utf-8"), servers, str(secret_file))
    except OSError as error:
        raise stop(f"{file}: {error.strerror}", 2) from None
    except (NotAConnector, UnicodeDecodeError) as error:
        raise stop(f"{file}: {error}", 2) from None


def _write_translation(path: Path, translation: Translation, secret_file: Path) -> None:
    """Write the secrets and the configuration, and say what became of each of the connector's settings."""
    from bridge.migration.configuration_file import write_secret

    proxy_file = path.with_name("proxy-url")
    for file, secret in ((secret_file, translation.secret), (proxy_file, translation.proxy_url)):
        if secret:
            write_secret(file, secret)
            typer.echo(
                f"{file}: holds the secret now, and only you can read it; mount it from a secret store later"
            )
    if translation.proxy_url:
        translation.config["aep"]["proxy_url_file"] = str(proxy_file)
    for title, lines in (
        ("mapped", translation.mapped),
        ("not needed", translation.not_needed),
        ("TO DO BY HAND", translation.by_hand),
    ):
        for name, text in lines:
            typer.echo(f"{title:<13}  {name}: {text}")
    typer.echo("what changes:")
    for text in translation.changes:
        typer.echo(f"  - {text}")
    _write(path, translation.config)
    typer.echo(f"\n{path} is written. Next: aep-bridge check --config {path}")


def _take_over(path: Path, group: str, *, yes: bool) -> None:
    from bridge.cli.loading import settings_of
    from bridge.kafka.client_errors import Unreachable
    from bridge.migration.offsets import CannotTakeOver, plan_takeover, take_over

    settings = settings_of(path)
    try:
        plan = plan_takeover(settings, group)
        for takeover in plan:
            if takeover.offset is None:
                text = "never committed: read from the beginning"
            else:
                text = f"from {takeover.offset} on, {takeover.end - takeover.offset:,} to go"
            typer.echo(f"{takeover.partition}: {text}")
        if all(takeover.offset is None for takeover in plan):
            raise stop(f"group {group} has no offsets in these topics; --connect-group names another", 1)
        if not yes:
            typer.echo(
                "Nothing was changed: this was a dry run. Stop the connector, then give --yes to set group "
                f"{settings.kafka.group_id} to these offsets."
            )
            return
        typer.echo(f"{take_over(settings, group, plan)} partitions taken over from group {group}")
    except Unreachable as error:
        raise stop(f"{settings.kafka.bootstrap_servers}: {error}", 3) from None
    except CannotTakeOver as error:
        raise stop(str(error), 1) from None
