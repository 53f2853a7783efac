"""`aep-bridge init`: a first configuration, out of answers, flags, or the JSON of Adobe's connector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.migration.connector import Moved

INLET = "https://dcs.adobedc.net/collection/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

_NOTES = {
    "kafka:": "where to read from",
    "  group_id:": "replicas share it",
    "aep:": "the inlet; a topic may have its own",
    "  inlet_url:": "AEP: Sources > HTTP API > Streaming endpoint URL",
    "  ims_org_id:": "the organisation, with @AdobeOrg",
    "    client_secret_file:": "read anew for each token",
    "topics:": "the first entry that matches a topic wins",
    "batch:": "what is left out keeps its default: aep-bridge config explain batch",
}


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("bridge.yaml"),
    bootstrap_servers: Annotated[
        str, typer.Option(help="Kafka's brokers: host:port, several with commas.")
    ] = "",
    topic: Annotated[list[str] | None, typer.Option(help="A topic to read (repeatable).")] = None,
    inlet_url: Annotated[str, typer.Option(help="The streaming endpoint's URL, as AEP shows it.")] = "",
    ims_org_id: Annotated[
        str, typer.Option(help="The organisation, such as 0DD379AC5B117F6E0A494106@AdobeOrg.")
    ] = "",
    group_id: Annotated[str, typer.Option(help="The consumer group.")] = "aep-bridge",
    format: Annotated[  # noqa: A002  # the flag's own name
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
        typer.Option("--from-connect", help="The JSON of Adobe's sink connector, to be moved over."),
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
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented configuration. Asks for what is missing, on a terminal.

    Example: `aep-bridge init --bootstrap-servers kafka:9092 --topic web-events --inlet-url https://dcs.adobedc.net/collection/…`

    Example: `aep-bridge init --from-connect connector.json --bootstrap-servers kafka:9092 --take-offsets`
    """
    if path.exists() and not force and not take_offsets:
        raise _stop(f"{path}: is there already; give another name, or --force", 2)
    if take_offsets and from_connect is None:
        raise _stop("--take-offsets needs --from-connect, whose group it is about", 2)
    asking = sys.stdin.isatty() and not (bootstrap_servers and topic and inlet_url) and from_connect is None
    servers = bootstrap_servers or _asked("Kafka's brokers", "kafka:9092", "--bootstrap-servers")
    if from_connect is not None:
        _from_connect(
            from_connect,
            path,
            servers,
            client_secret_file,
            take_offsets=take_offsets,
            group=connect_group,
            yes=yes,
            force=force,
        )
        return
    names = topic or [
        name
        for part in _asked("Topics, separated by commas", "web-events", "--topic").split(",")
        if (name := part.strip())
    ]
    aep: dict[str, Any] = {
        "inlet_url": inlet_url or _asked("The streaming endpoint's URL", INLET, "--inlet-url", _endpoint)
    }
    if asking:
        format, dataset_id, schema_id, ims_org_id = _shape(format, dataset_id, schema_id, ims_org_id)  # noqa: A001 - the option's name
        client_id = client_id or typer.prompt(
            "Client id of the OAuth credential (empty: an inlet without authentication)",
            default="",
            show_default=False,
        )
    entry: dict[str, Any] = (
        {"format": format}
        | ({"dataset_id": dataset_id} if dataset_id else {})
        | ({"schema_id": schema_id} if schema_id else {})
    )
    if ims_org_id:
        aep["ims_org_id"] = ims_org_id
    if client_id:
        from bridge.config.settings_aep import DEFAULT_SCOPE
        from bridge.migration.connector import TOKEN_PATH

        aep["auth"] = {
            "token_url": f"https://ims-na1.adobelogin.com{TOKEN_PATH}",
            "client_id": client_id,
            "client_secret_file": str(client_secret_file),
            "scope": DEFAULT_SCOPE,
        }
    config = {
        "kafka": {"bootstrap_servers": servers, "group_id": group_id},
        "aep": aep,
        "topics": [{"topic": name, **entry} for name in names],
    }
    _write(path, config)
    typer.echo(f"{path} is written. Next: aep-bridge check --config {path}")


def _stop(text: str, code: int) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(code)


def _endpoint(answer: str) -> str:
    """A wrong answer is asked for again, with what is wrong."""
    from pydantic import TypeAdapter, ValidationError

    from bridge.config.settings_aep import InletUrl

    try:
        return str(TypeAdapter(InletUrl).validate_python(answer.strip()))
    except ValidationError as error:
        raise typer.BadParameter(
            error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        ) from None


def _asked(what: str, example: str, option: str, proved: Callable[[str], str] = str.strip) -> str:
    if not sys.stdin.isatty():
        raise _stop(f"{option} is needed: {what[0].lower()}{what[1:]}, such as {example}", 2)
    return str(typer.prompt(what, default=example, value_proc=proved))


def _shape(format: str, dataset_id: str, schema_id: str, ims_org_id: str) -> tuple[str, str, str, str]:  # noqa: A002 - the option's name
    """What the values are, and for bare entities what the bridge has to write around them."""
    whole = typer.confirm(
        "Are the values whole messages, with header and body (no: bare XDM entities, which the bridge wraps)",
        default=format != "entity",
    )
    if whole:
        return ("envelope" if format == "entity" else format), dataset_id, schema_id, ims_org_id
    return (
        "entity",
        dataset_id or typer.prompt("The dataset's id"),
        schema_id or typer.prompt("The XDM schema's URL (its $id)"),
        ims_org_id or typer.prompt("The organisation, such as 0DD379AC5B117F6E0A494106@AdobeOrg"),
    )


def _text(config: dict[str, Any]) -> str:
    import yaml

    lines = [
        "# Written by aep-bridge init. What is left out keeps its default; aep-bridge config explain KEY tells of each key.",
        "",
    ]
    for line in yaml.safe_dump(config, sort_keys=False, width=200).splitlines():
        note = next((text for start, text in _NOTES.items() if line.startswith(start)), "")
        if lines[-1] and not line.startswith((" ", "-")):
            lines.append("")
        lines.append(f"{line}  # {note}" if note else line)
    return "\n".join(lines) + "\n"


def _write(path: Path, config: dict[str, Any]) -> None:
    """Writes it, and reads it as `run` would, so that what is wrong is told now."""
    import os

    from bridge.config.loader import ConfigurationError, load

    try:
        path.write_text(_text(config), encoding="utf-8")
    except OSError as error:
        raise _stop(f"{path}: {error.strerror}", 2) from None
    try:
        load(path, os.environ, limit=lambda: None)
    except ConfigurationError as error:
        raise _stop(f"{error}\n{path} is written all the same: correct it there", 2) from None


def _secret(path: Path, text: str) -> None:
    import os

    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")


def _from_connect(
    file: Path,
    path: Path,
    servers: str,
    secret_file: Path,
    *,
    take_offsets: bool,
    group: str,
    yes: bool,
    force: bool,
) -> None:
    from bridge.migration.connector import NotAConnector, moved

    try:
        made = moved(file.read_text(encoding="utf-8"), servers, str(secret_file))
    except OSError as error:
        raise _stop(f"{file}: {error.strerror}", 2) from None
    except (NotAConnector, UnicodeDecodeError) as error:
        raise _stop(f"{file}: {error}", 2) from None
    if not path.exists() or force:
        for where, text in ((secret_file, made.secret), (path.with_name("proxy-url"), made.proxy)):
            if text:
                _secret(where, text)
                typer.echo(
                    f"{where}: holds the secret now, for you alone to read; mount it from a secret store in the end"
                )
        if made.proxy:
            made.config["aep"]["proxy_url_file"] = str(path.with_name("proxy-url"))
        _tell(made)
        _write(path, made.config)
        typer.echo(f"\n{path} is written. Next: aep-bridge check --config {path}")
    if take_offsets:
        _take(path, group or made.group, yes=yes)


def _tell(made: Moved) -> None:
    for title, lines in (
        ("mapped", made.mapped),
        ("not needed", made.not_needed),
        ("TO DO BY HAND", made.by_hand),
    ):
        for name, text in lines:
            typer.echo(f"{title:<13}  {name}: {text}")
    typer.echo("what changes:")
    for text in made.changes:
        typer.echo(f"  - {text}")


def _take(path: Path, group: str, *, yes: bool) -> None:
    from bridge.cli.loading import settings_of
    from bridge.kafka.topics import Unreachable
    from bridge.migration.connector import CannotTake, take, takeover

    settings = settings_of(path)
    try:
        plan = takeover(settings, group)
        for each in plan:
            was = (
                "never committed: read from the beginning"
                if each.taken is None
                else f"from {each.taken} on, {each.end - each.taken:,} to go"
            )
            typer.echo(f"{each.topic}/{each.partition}: {was}")
        if all(each.taken is None for each in plan):
            raise _stop(f"group {group} has no offsets in these topics; --connect-group names another", 1)
        if not yes:
            typer.echo(
                f"Nothing was changed: this was a dry run. Stop the connector, then give --yes to set group {settings.kafka.group_id} so."
            )
            return
        typer.echo(f"{take(settings, group, plan)} partitions taken over from group {group}")
    except Unreachable as error:
        raise _stop(f"{settings.kafka.bootstrap_servers}: {error}", 3) from None
    except CannotTake as error:
        raise _stop(str(error), 1) from None
