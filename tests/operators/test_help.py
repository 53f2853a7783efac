"""`--help` of every command ends with an example that the command takes.

The commands are found by walking the tree.
"""

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
    """Yield the path of every command, the root and the groups included."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from tree(child, *path, name)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that a command line means, and the words that are left for it."""
    command = ROOT
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("path", [*tree()], ids=" ".join)
def test_help_has_an_example_that_the_command_takes(path: tuple[str, ...]) -> None:
    """Nobody has to guess how a command is written.

    An option that is renamed fails here while an example still has the old name.
    """
    command, _ = command_of(list(path))
    text = re.sub(r"[ \n│]+", " ", aep_bridge(*path, "--help", COLUMNS="100").stdout)
    assert "Usage: aep-bridge" in text
    examples = re.findall(r"Example: `([^`]+)`", " ".join(command.help.split()))
    assert examples
    for example in examples:
        assert example in text
        program, *words = shlex.split(example.partition(" > ")[0])
        named, left = command_of(words)
        assert program == "aep-bridge"
        assert " ".join(path) == " ".join(words[: len(words) - len(left)])[: len(" ".join(path))]
        options = {option for parameter in named.params for option in parameter.opts} | {"--help"}
        assert {word for word in left if re.match("--?[a-z]", word)} <= options, example


def test_the_walk_finds_them() -> None:
    """A walk that stopped early would make the other tests pass."""
    assert set(tree()) >= {("simulate",), ("check",), ("dlq", "replay"), ("config", "explain"), ("init",), ()}


def test_every_read_command_takes_json() -> None:
    """A script needs the same facts that a table shows."""
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

    with_form = set()
    for path in tree():
        command, _ = command_of(list(path))
        if any("-o" in parameter.opts for parameter in command.params):
            with_form.add(path)

    assert with_form >= readers
