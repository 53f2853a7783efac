"""`--help` of every command, found by walking the tree: it is there, ends with an example, and the example is one that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from bridge.cli import app
from tests.operators.conftest import aep_bridge

ROOT: Any = get_command(app)


def tree(command: Any = ROOT, *path: str) -> Iterator[tuple[str, ...]]:
    """The path of every command, the root and the groups included."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from tree(child, *path, name)


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command that a command line means, and what is left for it."""
    command = ROOT
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("path", [*tree()], ids=" ".join)
def test_help_has_an_example_that_the_command_takes(path: tuple[str, ...]) -> None:
    """Nobody has to guess how a command is written; an option that is renamed fails here where an example still has the old name."""
    command, _ = found(list(path))
    text = re.sub(r"[ \n│]+", " ", aep_bridge(*path, "--help", COLUMNS="100").stdout)
    assert "Usage: aep-bridge" in text
    examples = re.findall(r"Example: `([^`]+)`", " ".join(command.help.split()))
    assert examples
    for example in examples:
        assert example in text
        program, *words = shlex.split(example.partition(" > ")[0])
        named, left = found(words)
        assert program == "aep-bridge"
        assert " ".join(path) == " ".join(words[: len(words) - len(left)])[: len(" ".join(path))]
        options = {option for parameter in named.params for option in parameter.opts} | {"--help"}
        assert {word for word in left if re.match("--?[a-z]", word)} <= options, example


def test_the_walk_finds_them() -> None:
    """The tree is walked to its leaves."""
    assert set(tree()) >= {("simulate",), ("check",), ("dlq", "replay"), ("config", "explain"), ("init",), ()}


def test_every_read_command_takes_json() -> None:
    """`-o json` is there wherever a table is."""
    readers = {
        ("check",),
        ("status",),
        ("partitions",),
        ("demo",),
        ("dlq", "list"),
        ("dlq", "show"),
        ("dlq", "stats"),
        ("dlq", "replay"),
        ("config", "show"),
    }

    assert readers <= {
        path for path in tree() if any("-o" in parameter.opts for parameter in found(list(path))[0].params)
    }
