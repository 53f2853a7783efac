"""A YAML file as plain values, with line and column; pydantic-settings' own source keeps neither.

Keys that are written twice are problems too, text stays as it is written, and no problem quotes the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import SecretStr

from bridge.config.key_types import ROOT, KeyType
from bridge.config.problems import KeyPath

_TEXT = (str, SecretStr, Path)
_MERGE_TAG = "tag:yaml.org,2002:merge"


class FilePosition(NamedTuple):
    """Line and column, counted from 1."""

    line: int
    column: int


class DocumentProblem(NamedTuple):
    """What is wrong with the file itself, and where."""

    position: FilePosition
    key_path: KeyPath
    text: str


@dataclass(slots=True)
class Document:
    """The values of a file, and where they are written."""

    data: Any = None
    positions: dict[KeyPath, FilePosition] = field(default_factory=dict)
    """Where a key is written; for an item of a list, where it begins."""
    problems: list[DocumentProblem] = field(default_factory=list)


def parse(text: str) -> Document:
    """Return the document that a file's text holds, with what is wrong with it."""
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = _position(mark) if mark else FilePosition(1, 1)
        document.problems.append(DocumentProblem(position, (), _in_words(error)))
    except yaml.YAMLError:
        text = "holds control characters, which YAML does not allow; save it as plain UTF-8 text"
        document.problems.append(DocumentProblem(FilePosition(1, 1), (), text))
    else:
        if node is not None:
            document.data = _Reader(loader, document).value(node, (), ROOT)
    return document


class _Reader:
    """Turns nodes into values, each use of an alias into values of its own."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader, self._document = loader, document
        self._ancestors: set[int] = set()

    def value(self, node: yaml.Node, key_path: KeyPath, key_type: KeyType | None) -> Any:
        """Return a node's value. `key_type` is what its key holds, None if the key is unknown."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key_path, key_type)
        if id(node) in self._ancestors:
            self._report(node, key_path, "is an alias that contains itself; write the values out")
            return None
        self._ancestors.add(id(node))
        value: dict[str, Any] | list[Any]
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, key_path, key_type)
        else:
            value = self._list(node, key_path, key_type)
        self._ancestors.discard(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode, key_path: KeyPath, key_type: KeyType | None) -> Any:
        try:
            value = self._loader.construct_object(node)
        except yaml.YAMLError:
            text = "has a tag that is not known here; put the value in quotes if it begins with !"
            self._report(node, key_path, text)
            return None
        except ValueError:  # a date such as 2001-99-99
            return node.value
        if value is None or key_type is None or key_type.content not in _TEXT:
            return value
        if isinstance(value, bool) and key_path[:2] == ("kafka", "properties"):
            return str(value).lower()  # `no` is false in YAML, and librdkafka knows only true and false
        return node.value  # text as it is written: YAML would make 1.1 of 1.10

    def _list(self, node: yaml.Node, key_path: KeyPath, key_type: KeyType | None) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self._document.positions[*key_path, index] = _position(item.start_mark)
            items.append(self.value(item, (*key_path, index), key_type and key_type.below(index)))
        return items

    def _mapping(self, node: yaml.MappingNode, key_path: KeyPath, key_type: KeyType | None) -> dict[str, Any]:
        self._check_keys(node, key_path)
        try:
            self._loader.flatten_mapping(node)
        except yaml.YAMLError:
            self._report(node, key_path, "<< must name a mapping to merge")
        values = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                below = (*key_path, key.value)
                self._document.positions[below] = _position(key.start_mark)
                values[key.value] = self.value(value, below, key_type and key_type.below(key.value))
        return values

    def _check_keys(self, node: yaml.Node, key_path: KeyPath) -> None:
        first_line: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                text = "a key must be plain text; in YAML, braces after a colon or a dash begin a mapping"
                self._report(key, key_path, text)
            elif key.tag != _MERGE_TAG:
                line = _position(key.start_mark).line
                if key.value in first_line:
                    text = f"is written twice, first in line {first_line[key.value]}; leave one of them out"
                    self._report(key, (*key_path, key.value), text)
                first_line.setdefault(key.value, line)

    def _report(self, node: yaml.Node, key_path: KeyPath, text: str) -> None:
        self._document.problems.append(DocumentProblem(_position(node.start_mark), key_path, text))


def _position(mark: yaml.Mark) -> FilePosition:
    return FilePosition(mark.line + 1, mark.column + 1)


def _in_words(error: yaml.MarkedYAMLError) -> str:
    """Return what the parser says, without what it quotes of the file."""
    problem = error.problem or ""
    if isinstance(error, yaml.composer.ComposerError) and "alias" in problem:
        return "is not valid YAML: an alias that is not defined; put the value in quotes if it begins with *"
    text = " ".join(part for part in (error.context, problem) if part)
    text = re.sub(r"'(?!<)[^']{2,}'", "'…'", text)
    return (
        f"is not valid YAML: {text}; mind the indentation, and put values with special characters in quotes"
    )
