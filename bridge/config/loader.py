"""Loads the settings: the YAML file, the environment over it, and a look at the files that they name. Everything wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridge.config.environment import Overrides, applied, variable
from bridge.config.memory_ceiling import ceiling, container_limit
from bridge.config.sections import Loc, Problem, secret_of
from bridge.config.settings import Settings
from bridge.config.validation_errors import at, complaints, is_secret, shown_place
from bridge.config.yaml_source import Document, FilePosition, parse

_TEXT_WANTED = frozenset({"string_type", "path_type"})
_CLIENT_FILES = ("ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location")

_NOT_TEXT = frozenset({"ca_file", "client_cert_file", "client_key_file", *_CLIENT_FILES})
_SECRET_FILES = frozenset({"token_file"})


class ConfigurationError(Exception):
    """Every problem, one a line: `file:line:column: key: what is wrong; what to do`, or the variable in place of the file. Holds no secret."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def load(
    path: Path, environ: Mapping[str, str], *, limit: Callable[[], int | None] = container_limit
) -> Settings:
    """The settings of a file with the variables of an environment over it.

    `limit` tells the container's memory in bytes, which the settings must fit into; `lambda: None` leaves that out.
    Raises ConfigurationError, without a cause or a context that could show a secret.
    """
    text, problem = _read(path)
    if problem is not None:
        raise ConfigurationError([problem])
    document = parse(text)
    _texts(document)
    troubles = [
        f"{path}:{place.line}:{place.column}: {_prefix(loc, document.data)}{told}"
        for place, loc, told in document.troubles
    ]
    if document.data is not None and not isinstance(document.data, dict):
        troubles = troubles or [
            f"{path}:1:1: must be a mapping with the keys kafka, aep and topics; it is something else"
        ]
    elif (
        not troubles
        and document.data is None
        and not any(name.startswith(variable(("kafka",))) for name in environ)
    ):
        troubles = [f"{path}:1:1: is empty; it must hold at least kafka, aep and topics"]
    if troubles and not isinstance(document.data, dict):
        raise ConfigurationError(troubles)
    overrides = applied(document.data, environ)
    settings, problems = _validated(document, overrides)
    if settings is not None:
        problems = [*_files(settings), *_memory(settings, limit())]
    told = [
        *troubles,
        *_told(path, document, overrides, problems),
        *(f"{name}: {text}" for name, text in overrides.troubles),
    ]
    if told or settings is None:
        raise ConfigurationError(told)
    return settings


def _read(path: Path) -> tuple[str, str | None]:
    try:
        return path.read_text(encoding="utf-8-sig"), None
    except UnicodeDecodeError:
        return "", f"{path}: is not UTF-8 text; save it as UTF-8"
    except OSError as error:
        return "", f"{path}: can't be read: {error.strerror}; give the path of the configuration file"


def _texts(document: Document) -> None:
    """Properties and headers are text, as it is written: YAML would make 1.1 of 1.10."""
    for loc, text in document.texts.items():
        here = at(document.data, loc[:-1])
        if isinstance(here, dict) and "headers" in loc[:-1]:
            here[loc[-1]] = text
        elif isinstance(here, dict) and loc[:2] == ("kafka", "properties"):
            value = here[loc[-1]]
            here[loc[-1]] = (
                str(value).lower() if isinstance(value, bool) else text
            )  # librdkafka knows true and false only


def _validated(document: Document, overrides: Overrides) -> tuple[Settings | None, list[Problem]]:
    """The settings, or what is wrong. Where text is meant, a number or a date of the file counts as the text that is written there."""
    odd = [
        Problem((key,), "unknown key; settings don't begin with an underscore")
        for key in overrides.data
        if key.startswith("_")
    ]
    data = {key: value for key, value in overrides.data.items() if not key.startswith("_")}
    settings, errors = _validate(data)
    meant = [
        error["loc"]
        for error in errors
        if error["type"] in _TEXT_WANTED
        and error["loc"] in document.texts
        and not overrides.origin(error["loc"])
    ]
    for loc in meant:
        at(data, loc[:-1])[loc[-1]] = document.texts[loc]
    if meant:
        settings, errors = _validate(data)
    return None if odd else settings, [*odd, *complaints(errors, data)]


def _validate(data: dict[str, Any]) -> tuple[Settings | None, list[ErrorDetails]]:
    try:
        return Settings.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _told(path: Path, document: Document, overrides: Overrides, problems: list[Problem]) -> list[str]:
    """The problems with the places they come from, the file's in its order."""
    in_file: list[tuple[FilePosition, str]] = []
    elsewhere = []
    for loc, text in problems:
        name = overrides.origin(loc)
        if name is not None:
            elsewhere.append(f"{name}: {_prefix(loc, overrides.data)}{text}")
        else:
            place = _place(document, loc)
            in_file.append(
                (place, f"{path}:{place.line}:{place.column}: {_prefix(loc, overrides.data)}{text}")
            )
    return [line for _, line in sorted(in_file, key=lambda item: item[0])] + elsewhere


def _place(document: Document, loc: Loc) -> FilePosition:
    """Where a key is written, or the nearest mapping that it should be in."""
    return next(
        (document.keys[loc[:length]] for length in range(len(loc), 0, -1) if loc[:length] in document.keys),
        FilePosition(1, 1),
    )


def _prefix(loc: Loc, data: Any) -> str:
    return f"{shown_place(loc, data)}: " if loc else ""


def _files(settings: Settings) -> list[Problem]:
    """Named files that can't be read."""
    problems = []
    for loc, file in named_files(settings):
        try:
            if loc[-1] in _NOT_TEXT:
                with file.open("rb") as opened:
                    opened.read(1)
            else:
                secret_of(file)
        except OSError as error:
            what = (
                error.strerror
                if error.strerror and error.strerror.startswith("is ")
                else f"can't be read: {error.strerror}"
            )
            shown = (
                "the file" if holds_secret(loc) else file
            )  # a secret put here by mistake must not come out
            problems.append(Problem(loc, f"{shown} {what}; mount the file, or correct the path"))
    return problems


def holds_secret(loc: Loc) -> bool:
    """Whether the file that a key names holds a secret."""
    return loc[-1] in _SECRET_FILES or is_secret((*loc[:-1], str(loc[-1]).removesuffix("_file")))


def named_files(value: Any, loc: Loc = ()) -> Iterator[tuple[Loc, Path]]:
    """Every file that the settings name, and under which key."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from named_files(getattr(value, name), (*loc, name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from named_files(item, (*loc, number))
    elif isinstance(value, dict):
        yield from (
            ((*loc, name), Path(str(entry)))
            for name, entry in value.items()
            if name.endswith("_file") or name in _CLIENT_FILES
        )
    elif isinstance(value, Path):
        yield loc, value


def _memory(settings: Settings, available: int | None) -> list[Problem]:
    size, made_of = ceiling(settings)
    if available is None or size <= available:
        return []
    advice = "lower delivery.window_bytes, delivery.max_in_flight or queued.max.messages.kbytes, or raise the container's limit"
    return [
        Problem(
            ("delivery", "window_bytes"),
            f"the settings allow {made_of}, and the container has {available / (1 << 20):.0f} MiB; {advice}",
        )
    ]
