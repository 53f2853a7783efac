"""The architecture page agrees with the folders, the layers contract and the docstring of the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import bridge

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bridge"
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()


def contents() -> set[str]:
    """Return what `ls bridge` shows, as the page spells it: folders with a slash, files with their suffix."""
    folders = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    return folders | {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}


def layers_of_the_contract() -> list[set[str]]:
    """Return the layers of the import contract from the top, each name as the page spells it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    spelling = {name.removesuffix("/").removesuffix(".py"): name for name in contents()}
    return [{spelling[name.strip()] for name in layer.split("|")} for layer in layers]


def layers_of_the_page() -> list[set[str]]:
    """Return the layers of the page's table in the order of their numbers."""
    rows = re.findall(r"^\| (\d+) \| `([a-z_./]+)` \|", PAGE, re.MULTILINE)
    numbers = sorted({int(number) for number, _ in rows})
    assert numbers == list(range(1, len(numbers) + 1))
    return [{name for number, name in rows if int(number) == layer} for layer in numbers]


def test_the_page_has_every_folder_once() -> None:
    """A newcomer who runs `ls bridge` finds each name on the page, and no name that no longer exists."""
    names = [name for layer in layers_of_the_page() for name in layer]

    assert sorted(names) == sorted(contents())


def test_the_page_numbers_the_layers_as_the_contract_orders_them() -> None:
    """The page says which folder may import which, and the contract is what the checks enforce."""
    assert layers_of_the_page() == layers_of_the_contract()


@pytest.mark.parametrize("text", [PAGE, bridge.__doc__ or ""], ids=["page", "docstring"])
def test_every_file_that_is_named_exists(text: str) -> None:
    """The name of a file that was moved or renamed would lead the reader nowhere."""
    folders = "|".join(name for name in contents() if name.endswith("/"))
    names = re.findall(rf"(?<![\w/])(?:{folders})[a-z_]+", text)

    assert names
    assert [
        name for name in names if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").is_file()
    ] == []


def test_the_diagram_is_the_docstrings() -> None:
    """It stands in two places, so a change of one without the other would leave two different pictures."""
    diagram = PAGE.partition("```\n")[2].partition("```\n")[0]

    assert "dispatcher" in diagram
    assert diagram in (bridge.__doc__ or "")
