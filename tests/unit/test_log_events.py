"""Log events and keys: no old name is logged, and the users' table of the renamed ones is true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge

PACKAGE = Path(bridge.__file__).parent
PAGES = (PACKAGE.parent / "docs/how-to/upgrade.md", PACKAGE.parent / "CHANGELOG.md")
OLD_KEYS = frozenset({"hint", "what_follows", "more", "why", "expected", "found", "to", "what", "text"})
ORDER_OF_AN_OPERATOR = ("skip.ordered", "why")
"""Who orders a skip says why: this is no reason of the bridge."""


def logging_files() -> list[ast.Module]:
    """Return the syntax tree of each file that has a logger."""
    texts = [path.read_text() for path in sorted(PACKAGE.rglob("*.py"))]
    return [ast.parse(text) for text in texts if "structlog.get_logger(" in text]


def log_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, set[str]]]:
    """Yield each call of `log`, or of a method of it that is called `write` here, and its events' names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(r"log\.\w+|write", ast.unparse(node.func)):
            strings = [each for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
            yield node, {each.value for each in strings if isinstance(each.value, str)}


def old_keys(tree: ast.AST) -> list[str]:
    """Return the old keys of all log calls, and of the dictionaries that are spread into them."""
    dictionaries = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = {key.value for each in dictionaries for key in each.keys if isinstance(key, ast.Constant)}
    spread = any(keyword.arg is None for call, _ in log_calls(tree) for keyword in call.keywords)
    violations = sorted(keys & OLD_KEYS) if spread else []
    for call, names in log_calls(tree):
        used = {keyword.arg for keyword in call.keywords if keyword.arg in OLD_KEYS}
        violations += [f"{name}: {key}" for name in names for key in used]
    return [each for each in violations if each != ": ".join(ORDER_OF_AN_OPERATOR)]


def events() -> set[str]:
    """Return the names of all events that the bridge logs."""
    return {name for tree in logging_files() for _, names in log_calls(tree) for name in names}


def renamed_events(page: str) -> dict[str, str]:
    """Return the new name of each event, by its old one, as the table says."""
    table = page.partition("| event before | event now |\n|---|---|\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", table, re.MULTILINE))


@pytest.mark.parametrize(
    ("call", "violations"),
    [
        ('log.info("a.b", hint="x")', ["a.b: hint"]),
        ('write("a.b" if lost else "a.c", more=1)', ["a.b: more", "a.c: more"]),
        ('log.error("a.b", **{"what_follows": "x"})', ["what_follows"]),
        ('log.warning("skip.ordered", who="x", why="y")', []),
        ('log.warning("request.failed", why="y")', ["request.failed: why"]),
        ('log.info("a.b", next_step="x", suppressed=1)', []),
    ],
)
def test_an_old_key_is_found(call: str, violations: list[str]) -> None:
    """The next test proves nothing unless this one passes."""
    assert sorted(old_keys(ast.parse(call))) == violations


def test_no_old_key_is_logged() -> None:
    """An alert on `next_step` or `suppressed` must see every event that has one."""
    assert [violation for tree in logging_files() for violation in old_keys(tree)] == []


def test_the_table_of_renamed_events_is_true() -> None:
    """Operators change their alerts with it, so each new name must be logged, and no old one."""
    upgrade, changelog = (renamed_events(page.read_text()) for page in PAGES)

    assert len(upgrade) > 10
    assert changelog == upgrade
    assert set(upgrade.values()) - events() == set()
    assert set(upgrade) & events() == set()
