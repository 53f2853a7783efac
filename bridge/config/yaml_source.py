"""A YAML file as plain values, with the line and column of each: keys given twice are problems, and no problem shows the file's text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from bridge.config.sections import Loc


class FilePosition(NamedTuple):
    """Line and column, counted from 1."""

    line: int
    column: int


class Trouble(NamedTuple):
    """What is wrong with the file itself, and where."""

    place: FilePosition
    loc: Loc
    text: str


@dataclass(slots=True)
class Document:
    """The values of a file, and where they stand."""

    data: Any = None
    keys: dict[Loc, FilePosition] = field(default_factory=dict)
    """Where a key is written; of an item of a list, where that begins."""
    values: dict[Loc, FilePosition] = field(default_factory=dict)
    texts: dict[Loc, str] = field(default_factory=dict)
    """Scalars as they are written, for those that YAML takes for a number, a date or a truth value where text is meant."""
    troubles: list[Trouble] = field(default_factory=list)


def parse(text: str) -> Document:
    """The document of a file; what is wrong with it is in its `troubles`."""
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.troubles.append(Trouble(_place(mark) if mark else FilePosition(1, 1), (), _told(error)))
    except yaml.YAMLError:
        document.troubles.append(
            Trouble(
                FilePosition(1, 1),
                (),
                "holds control characters, which YAML does not allow; save it as plain UTF-8 text",
            )
        )
    else:
        if node is not None:
            document.data = _Reader(loader, document).value(node, ())
    return document


class _Reader:
    """Turns nodes into values, each alias into values of its own."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader, self._document = loader, document
        self._open: set[int] = set()

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        self._document.values[loc] = _place(node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        if id(node) in self._open:
            self._trouble(node, loc, "is an alias that contains itself; write the values out")
            return None
        self._open.add(id(node))
        found = self._mapping(node, loc) if isinstance(node, yaml.MappingNode) else self._list(node, loc)
        self._open.discard(id(node))
        return found

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        try:
            found = self._loader.construct_object(node)
        except yaml.YAMLError:
            self._trouble(
                node, loc, "has a tag that is not known here; put the value in quotes if it begins with !"
            )
            return None
        except ValueError:  # a date such as 2001-99-99
            found = node.value
        if found is not None:
            self._document.texts[loc] = node.value
        return found

    def _list(self, node: yaml.Node, loc: Loc) -> list[Any]:
        items = []
        for at, item in enumerate(node.value):
            self._document.keys[*loc, at] = _place(item.start_mark)
            items.append(self.value(item, (*loc, at)))
        return items

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        first: dict[str, FilePosition] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._trouble(
                    key,
                    loc,
                    "a key must be plain text; in YAML, braces after a colon or a dash begin a mapping",
                )
            elif key.tag != "tag:yaml.org,2002:merge":
                if key.value in first:
                    self._trouble(
                        key,
                        (*loc, key.value),
                        f"is written twice, first in line {first[key.value].line}; leave one of them out",
                    )
                first.setdefault(key.value, _place(key.start_mark))
        try:
            self._loader.flatten_mapping(node)
        except yaml.YAMLError:
            self._trouble(node, loc, "<< must name a mapping to merge")
        found = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                self._document.keys[*loc, key.value] = _place(key.start_mark)
                found[key.value] = self.value(value, (*loc, key.value))
        return found

    def _trouble(self, node: yaml.Node, loc: Loc, text: str) -> None:
        self._document.troubles.append(Trouble(_place(node.start_mark), loc, text))


def _place(mark: yaml.Mark) -> FilePosition:
    return FilePosition(mark.line + 1, mark.column + 1)


def _told(error: yaml.MarkedYAMLError) -> str:
    """The parser's complaint, without what it quotes of the file."""
    problem = error.problem or ""
    if isinstance(error, yaml.composer.ComposerError) and "alias" in problem:
        return "is not valid YAML: an alias that is not defined; put the value in quotes if it begins with *"
    told = " ".join(part for part in (error.context, problem) if part)
    told = re.sub(r"'(?!<)[^']{2,}'", "'…'", told)
    return (
        f"is not valid YAML: {told}; mind the indentation, and put values with special characters in quotes"
    )
