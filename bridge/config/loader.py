"""Loads the settings from the YAML file and the environment, and reports everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.config.container_memory import container_limit
from bridge.config.environment import variable
from bridge.config.memory_ceiling import ceiling
from bridge.config.named_files import file_problems
from bridge.config.problems import KeyPath, Problem
from bridge.config.settings import Settings
from bridge.config.settings_source import FileAndEnvironmentSource
from bridge.config.validation_errors import in_words, shown_key
from bridge.config.yaml_document import Document, FilePosition, parse


class ConfigurationError(Exception):
    """Everything that is wrong, one problem a line: `file:line:column: key: what is wrong; what to do`.

    A problem of the environment has the variable's name in place of the file. No line holds a secret.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load(
    path: Path, environ: Mapping[str, str], *, limit: Callable[[], int | None] = container_limit
) -> Settings:
    """Return the settings of a file, with the variables of an environment over it.

    `limit` returns the container's memory in bytes, which the settings must fit into; None skips that check.
    Raises ConfigurationError, without a cause or a context that could show a secret.
    """
    document = _read(path)
    lines = [
        _line(path, position, key_path, text, document.data) for position, key_path, text in document.problems
    ]
    if not isinstance(document.data, dict) and not lines:
        lines = [f"{path}:1:1: {text}" for text in _shape_problems(document, environ)]
    if not isinstance(document.data, dict) and lines:
        raise ConfigurationError(lines)
    source = FileAndEnvironmentSource(document, environ)
    settings, errors = _validate(source)
    if settings is None:
        problems = [*in_words(errors, source.values)]
    else:
        problems = [*file_problems(settings), *_memory_problems(settings, limit())]
    lines += _lines(path, source, problems)
    lines += [f"{name}: {text}" for name, text in source.problems]
    if settings is None or lines:
        raise ConfigurationError(lines)
    return settings


def _read(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problem = "is not UTF-8 text; save it as UTF-8"
    except OSError as error:
        problem = f"can't be read: {error.strerror}; give the path of the configuration file"
    else:
        return parse(text)
    # Raised here and not where the error is caught: the error must not become this one's context.
    raise ConfigurationError([f"{path}: {problem}"])


def _shape_problems(document: Document, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a file that holds no mapping. It may be empty if the environment has all."""
    if document.data is not None:
        yield "must be a mapping with the keys kafka, aep and topics; it is something else"
    elif not any(name.startswith(variable(("kafka",))) for name in environ):
        yield "is empty; it must hold at least kafka, aep and topics"


def _validate(source: FileAndEnvironmentSource) -> tuple[Settings | None, list[ErrorDetails]]:
    try:
        return Settings.from_source(source), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _memory_problems(settings: Settings, available: int | None) -> Iterator[Problem]:
    size, breakdown = ceiling(settings)
    if available is not None and size > available:
        yield Problem(
            ("delivery", "window_bytes"),
            f"the settings allow {breakdown}, and the container has {available / (1 << 20):.0f} MiB; "
            "lower delivery.window_bytes, delivery.max_in_flight or queued.max.messages.kbytes, "
            "or raise the container's limit",
        )


def _lines(path: Path, source: FileAndEnvironmentSource, problems: Iterable[Problem]) -> list[str]:
    """Return each problem with the origin of its value: those of the file in its order, then the others."""
    in_file: list[tuple[FilePosition, str]] = []
    in_environment = []
    for key_path, text in problems:
        name = source.variable_of(key_path)
        if name is None:
            position = source.position_of(key_path)
            in_file.append((position, _line(path, position, key_path, text, source.values)))
        else:
            in_environment.append(f"{name}: {_with_key(key_path, text, source.values)}")
    in_file.sort(key=lambda entry: entry[0])
    return [line for _, line in in_file] + in_environment


def _line(path: Path, position: FilePosition, key_path: KeyPath, text: str, values: object) -> str:
    return f"{path}:{position.line}:{position.column}: {_with_key(key_path, text, values)}"


def _with_key(key_path: KeyPath, text: str, values: object) -> str:
    return f"{shown_key(key_path, values)}: {text}" if key_path else text
