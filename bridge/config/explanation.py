"""The settings explained, out of the settings themselves: a JSON Schema, and one key in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from bridge.config.environment import variable
from bridge.config.sections import Loc
from bridge.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Explanation:
    """One key, in words."""

    key: str
    """Dotted, an item of a list as `topics[]`."""
    type: str
    default: str
    """As it is written in YAML; "required" where there is none."""
    variable: str
    """The environment variable; 0 stands for an index."""
    description: str


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file."""
    return Settings.model_json_schema()


def explain(key: str) -> Explanation:
    """One key, such as `delivery.window_bytes` or `topics[0].format`. Raises LookupError with a suggestion."""
    known = {entry.key.replace("[]", ""): entry for entry in explanations()}
    wanted = re.sub(r"\[\d*\]|\.\d+(?=\.|$)", "", key)
    for mapping in ("kafka.properties", "aep.headers", "topics.aep.headers"):
        wanted = mapping if wanted.startswith(f"{mapping}.") else wanted
    if wanted not in known:
        near = get_close_matches(wanted, known, 1, 0.5)
        raise LookupError(f"{key}: no such key" + (f"; did you mean {known[near[0]].key}?" if near else ""))
    return known[wanted]


def explanations() -> Iterator[Explanation]:
    """Every key, sections too, in the order of the file."""
    whole = schema()
    yield from _entries(whole, whole, ())


def _entries(whole: Mapping[str, Any], model: Mapping[str, Any], before: Loc) -> Iterator[Explanation]:
    required = model.get("required", [])
    for name, given in model["properties"].items():
        loc = (*before, name)
        kind = _resolved(whole, given)
        default = "required" if name in required else _default(given)
        key = ".".join("[]" if part == 0 else str(part) for part in loc).replace(".[]", "[]")
        description = " ".join(str(given.get("description") or kind.get("description", "")).split())
        yield Explanation(key, _type(kind), default, variable(loc), description)
        if kind.get("type") == "array":
            yield from _entries(whole, _resolved(whole, kind["items"]), (*loc, 0))
        elif "properties" in kind:
            yield from _entries(whole, kind, loc)


def _resolved(whole: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema without its reference, and without "or null"."""
    for choice in given.get("anyOf", []):
        if choice.get("type") != "null":
            return _resolved(whole, choice)
    if "$ref" in given:
        return _resolved(whole, whole["$defs"][given["$ref"].rpartition("/")[2]])
    return given


def _type(kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    if kind.get("format") == "path":
        return "path of a file"
    if kind.get("format") == "password":
        return "text, secret"
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true` or `false`",
        "object": "mapping",
        "array": "list",
    }
    return words[kind["type"]] + _bounds(kind)


def _bounds(kind: Mapping[str, Any]) -> str:
    low, above, high = kind.get("minimum"), kind.get("exclusiveMinimum"), kind.get("maximum")
    start = f"from {low:,}" if low is not None else f"above {above:,}" if above is not None else ""
    end = f"to {high:,}" if high is not None else ""
    return f", {start} {end}".rstrip() if start or end else ""


def _default(given: Mapping[str, Any]) -> str:
    value = given.get("default")
    if value is None or isinstance(value, dict):
        return "" if value is None or value else "{}"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str) and value.isdecimal()
        else str(value)
    )
