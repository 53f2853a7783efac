"""pydantic's errors in words: what is wrong, and what to do. A value is shown if it holds no secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import ErrorDetails

from bridge.config import librdkafka
from bridge.config.environment import DELIMITER, PREFIX, variables
from bridge.config.http_headers import is_secret_header
from bridge.config.key_types import ROOT, KeyType
from bridge.config.problems import HIDDEN, InvalidSettings, KeyPath, Problem, dotted
from bridge.config.secret_files import FILE_SUFFIX
from bridge.config.settings_aep import AepOverrides
from bridge.config.settings_auth import AuthSettings
from bridge.config.settings_topics import TopicSettings

_SECRETS = frozenset({"client_secret", "proxy_url"})
_WANTED: Mapping[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be the path of a file",
    "tuple_type": "must be a list: lines that begin with a dash",
    "model_type": "must be a mapping: lines of `key: value`",
    "model_attributes_type": "must be a mapping: lines of `key: value`",
    "dict_type": "must be a mapping: lines of `key: value`",
}
_MAPPING_WANTED = frozenset({"model_type", "model_attributes_type", "dict_type"})
"""Text in place of these is not shown: it could be the secret that belongs inside."""


def in_words(errors: Iterable[ErrorDetails], values: Any) -> Iterator[Problem]:
    """Yield the problems that pydantic's errors stand for; `values` is what was validated."""
    for error in errors:
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, InvalidSettings):
            for key_path, text in cause.problems:
                yield Problem((*error["loc"], *key_path), text)
        # pydantic counts only the items that are right: with others in the list, it is not too short.
        elif error["type"] != "too_short" or not value_at(values, error["loc"]):
            yield Problem(error["loc"], _text(error, values))


def is_secret(key_path: KeyPath) -> bool:
    """Return whether the value at a key must not be shown."""
    names = [part for part in key_path if isinstance(part, str)]
    if any(name in _SECRETS for name in names):
        return True
    if "headers" in names[:-1]:
        return is_secret_header(names[-1])
    is_property = "properties" in names[:-1] and not names[-1].endswith(FILE_SUFFIX)
    return is_property and librdkafka.is_secret(names[-1])


def value_at(values: Any, key_path: KeyPath) -> Any:
    """Return the value at a key, or None if there is none."""
    for part in key_path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list | tuple) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def shown_key(key_path: KeyPath, values: Any) -> str:
    """Return a key path as a message shows it.

    A key that has no value and is not like any key may be a value that lost its key. It is left out.
    """
    last = key_path[-1] if key_path else None
    if isinstance(last, str) and value_at(values, key_path) is None and not _resembles_a_key(last):
        key_path = (*key_path[:-1], HIDDEN)
    return dotted(key_path)


def _resembles_a_key(name: str) -> bool:
    return bool(get_close_matches(name, _every_key(), 1, 0.75))


@cache
def _every_key() -> frozenset[str]:
    keys: set[str] = set()
    for name in variables():
        keys.update(name.removeprefix(PREFIX).lower().split(DELIMITER))
    files = {name + FILE_SUFFIX for name in librdkafka.KNOWN}
    return frozenset(keys | librdkafka.KNOWN | files)


def _text(error: ErrorDetails, values: Any) -> str:
    kind, context, key_path = error["type"], error.get("ctx", {}), error["loc"]
    value = value_at(values, key_path)
    if kind == "missing":
        return f"is required; add {key_path[-1]}"
    if kind == "extra_forbidden":
        return _unknown(key_path)
    shown = _shown(key_path, value)
    if kind == "value_error":
        return f"{context['error']}{shown}"
    if kind in _WANTED:
        if value is None:
            return "has no value; give one, or leave the key out"
        return _WANTED[kind] + (
            "; it is text" if isinstance(value, str) and kind in _MAPPING_WANTED else shown
        )
    if kind in {"literal_error", "enum"}:
        allowed = str(context["expected"])
        choices = allowed.replace("'", "").replace(" or ", ", ").split(", ")
        near = get_close_matches(str(value).lower(), choices, 1, 0.5)
        return f"must be {allowed}{shown}" + (f"; did you mean {near[0]}?" if near else "")
    for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if name in context:
            return f"must be {words} {context[name]:,}{shown}"
    if kind in {"too_short", "string_too_short"}:
        remedy = "give at least one" if key_path[-1] == "topics" else "give a value, or leave the key out"
        return f"must not be empty; {remedy}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}{shown}"


def _shown(key_path: KeyPath, value: Any) -> str:
    """Return the value as the end of a message, where it may be shown: without a URL's password and query."""
    if value is None or is_secret(key_path):
        return ""
    if isinstance(value, dict):
        return "; it is a mapping"
    if isinstance(value, list | tuple):
        return "; it is a list"
    text = str(value)
    if "://" in text or "@" in text:
        text = _without_credentials(text)
        if not text:
            return ""
    text = f"{text[:80]}…" if len(text) > 80 and isinstance(value, str) else text[:80]
    return f"; it is {text!r}" if isinstance(value, str) else f"; it is {text}"


def _without_credentials(text: str) -> str:
    """Return a URL without user, password and query; empty where that can't be done for certain."""
    try:
        parts = urlsplit(text.split(maxsplit=1)[0])
    except ValueError:
        return ""
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else ""
    return "" if "@" in url else url


def _unknown(key_path: KeyPath) -> str:
    """Return what to do about an unknown key, with the key that was perhaps meant."""
    *parents, last = key_path
    key = str(last)
    if not parents and key.startswith("_"):
        return "unknown key; settings don't begin with an underscore"
    model = _section(tuple(parents)).content
    if model is TopicSettings and key in AepOverrides.model_fields:
        where = f"topics[{key_path[1]}].aep.{key}"
        return f"is a key of the inlet; write it under aep: in this topic ({where})"
    known = [*model.model_fields]
    if near := get_close_matches(key.lower().replace("-", "_"), known, 1, 0.6):
        return f"unknown key; did you mean {near[0]}?"
    here = ".".join(str(part) for part in parents)
    if elsewhere := [section for section in _sections_with(key) if section != here]:
        return f"unknown key here; it belongs under {elsewhere[0]}:"
    return f"unknown key; known are {', '.join(known)}"


def _section(key_path: KeyPath) -> KeyType:
    """Return the section that a key path leads to."""
    key_type = ROOT
    for part in key_path:
        below = key_type.below(part)
        if below is not None and below.kind in {"section", "list"}:
            key_type = below
    return key_type


def _sections_with(key: str) -> Iterator[str]:
    """Yield the sections that have this key."""
    for name in ROOT.content.model_fields:
        section = ROOT.below(name)
        if section is not None and key in section.content.model_fields:
            yield name
    if key in librdkafka.KNOWN:
        yield "kafka.properties"
    if key in AuthSettings.model_fields:
        yield "aep.auth"
