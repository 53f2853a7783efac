"""The settings explained, out of the settings themselves: a JSON Schema, one key in words, and the reference page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from bridge.environment import variable
from bridge.sections import Loc
from bridge.settings import Settings

_HEAD = """# Configuration

<!-- Generated from bridge/settings.py; a test compares. Write it anew with: python -m bridge.configuration_reference > docs/reference/configuration.md -->

One YAML file, given with `--config`. Only `kafka.bootstrap_servers`, `aep.inlet_url` (unless every topic has its own) and one entry of `topics` are
required; everything else has a default
that is meant to be kept. `config/minimal.yaml` is the smallest file, `config/aep-bridge.yaml` a commented one.

- **Environment.** Every key has a variable, which wins over the file. Mappings and lists take JSON: a mapping is merged over the file's, a list replaces it.
  An item of a list is addressed by its index: `AEP_BRIDGE_TOPICS__1__DATASET_ID`; the index after the last one adds an item. Names with dots and hyphens are
  written with underscores: `AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWORD`, `AEP_BRIDGE_AEP__HEADERS__X_SANDBOX_NAME`.
- **Secrets.** Every secret can come from a file, under the same key with `_file` behind it: `client_secret_file`, `proxy_url_file`, and in `kafka.properties`
  and `headers` any name at all (`sasl.password_file`, `x-api-key_file`).
  A rotated one counts without a restart: the client secret at the next token, headers and the proxy's URL at the next request, certificates at the next
  connection, the admin token at the next order. Not so what `kafka.properties` takes from files: that is read when Kafka's clients are made; restart after
  a rotation.
  Secrets are masked in logs, errors and the status page.
- **Mistakes.** Unknown keys and unknown `AEP_BRIDGE_…` variables are errors. All problems are told at once, each as
  `file:line:column: key: what is wrong; what to do`, and the process ends with exit code 2.
- **Memory.** What the settings allow is printed at start (`memory.ceiling`); it is an error if the container has less.
"""

_TAIL = """
## Properties that are refused

The bridge's guarantees stand on these properties of librdkafka, so `kafka.properties` must not hold them:

| property | why, and what to do |
|---|---|
"""


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


def reference() -> str:
    """The reference page, in Markdown."""
    from bridge.kafka_properties import REFUSED

    pages = [_HEAD]
    for entry in explanations():
        if "." not in entry.key:
            pages.append(f"\n## {entry.key}\n\n{entry.description}\n\n| key | type | default | environment | meaning |\n|---|---|---|---|---|\n")
        elif not entry.key.startswith("topics[].aep."):
            cells = (f"`{entry.key}`", entry.type, _code(entry.default), f"`{entry.variable}`", entry.description)
            pages.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    pages += [_TAIL, *(f"| `{name}` | {reason} |\n" for name, reason in REFUSED.items())]
    return "".join(pages)


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
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`", "object": "mapping", "array": "list"}
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
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) and value.isdecimal() else str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text and text != "required" else text


if __name__ == "__main__":
    print(reference(), end="")
