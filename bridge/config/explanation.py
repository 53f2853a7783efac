"""The settings explained out of the settings themselves: a JSON Schema, and each key in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from bridge.config.environment import variable
from bridge.config.problems import KeyPath
from bridge.config.settings import Settings

_KEYS_OF_THE_USER = ("kafka.properties", "aep.headers", "topics.aep.headers")
"""Mappings whose keys the user chooses; each is explained as a whole."""
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "mapping",
    "array": "list",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One key, in words."""

    key: str
    """Dotted; an item of a list as `topics[]`."""
    type: str
    default: str
    """As it is written in YAML; "required" where there is none."""
    variable: str
    """The environment variable; 0 stands for an index."""
    description: str


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return Settings.model_json_schema()


def explain(key: str) -> Explanation:
    """Return the explanation of a key, such as `delivery.window_bytes` or `topics[0].format`.

    Raises LookupError, with the key that was perhaps meant.
    """
    known = {entry.key.replace("[]", ""): entry for entry in explanations()}
    wanted = re.sub(r"\[\d*\]|\.\d+(?=\.|$)", "", key)
    for mapping in _KEYS_OF_THE_USER:
        wanted = mapping if wanted.startswith(f"{mapping}.") else wanted
    if wanted not in known:
        near = get_close_matches(wanted, known, 1, 0.5)
        suggestion = f"; did you mean {known[near[0]].key}?" if near else ""
        raise LookupError(f"{key}: no such key{suggestion}")
    return known[wanted]


def explanations() -> Iterator[Explanation]:
    """Yield the explanation of every key, sections too, in the order of the file."""
    root = schema()
    yield from _keys_of(root, root, ())


def _keys_of(root: Mapping[str, Any], section: Mapping[str, Any], parents: KeyPath) -> Iterator[Explanation]:
    required = section.get("required", [])
    for name, entry in section["properties"].items():
        key_path = (*parents, name)
        resolved = _resolved(root, entry)
        key = ".".join("[]" if part == 0 else str(part) for part in key_path).replace(".[]", "[]")
        description = str(entry.get("description") or resolved.get("description", ""))
        yield Explanation(
            key=key,
            type=_type(resolved),
            default="required" if name in required else _default(entry),
            variable=variable(key_path),
            description=" ".join(description.split()),
        )
        if resolved.get("type") == "array":
            yield from _keys_of(root, _resolved(root, resolved["items"]), (*key_path, 0))
        elif "properties" in resolved:
            yield from _keys_of(root, resolved, key_path)


def _resolved(root: Mapping[str, Any], entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema without its reference, and without "or null"."""
    for choice in entry.get("anyOf", []):
        if choice.get("type") != "null":
            return _resolved(root, choice)
    if "$ref" in entry:
        return _resolved(root, root["$defs"][entry["$ref"].rpartition("/")[2]])
    return entry


def _type(entry: Mapping[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if entry.get("format") == "path":
        return "path of a file"
    if entry.get("format") == "password":
        return "text, secret"
    return _TYPES[entry["type"]] + _bounds(entry)


def _bounds(entry: Mapping[str, Any]) -> str:
    lowest, above, highest = entry.get("minimum"), entry.get("exclusiveMinimum"), entry.get("maximum")
    start = f"from {lowest:,}" if lowest is not None else f"above {above:,}" if above is not None else ""
    end = f"to {highest:,}" if highest is not None else ""
    return f", {start} {end}".rstrip() if start or end else ""


def _default(entry: Mapping[str, Any]) -> str:
    value = entry.get("default")
    if value is None or (isinstance(value, dict) and value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.isdecimal():
        return f'"{value}"'
    return str(value)
