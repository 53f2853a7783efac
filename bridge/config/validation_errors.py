"""What pydantic found wrong, in words: what is wrong, and what to do. Values are shown where they hold no secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bridge.config import librdkafka
from bridge.config.environment import inside
from bridge.config.environment import names as variable_names
from bridge.config.sections import UNSHOWN, Loc, Problem, Wrong, dotted
from bridge.config.settings import DELIMITER, PREFIX, AepOverrides, Settings, TopicSettings
from bridge.config.settings_aep import is_secret_header

_SECRETS = frozenset({"client_secret", "proxy_url"})
_KINDS: Mapping[str, str] = {
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
_MAPPINGS = frozenset({"model_type", "model_attributes_type", "dict_type"})
"""Text in place of these is not shown: it could be the secret that belongs inside."""


def complaints(errors: list[ErrorDetails], data: Any) -> Iterator[Problem]:
    """The problems in a list of pydantic's errors; `data` is what was validated."""
    for error in errors:
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Wrong):
            yield from (Problem((*error["loc"], *problem.loc), problem.text) for problem in cause.problems)
        elif error["type"] != "too_short" or not at(
            data, error["loc"]
        ):  # pydantic counts only the items that are right
            yield Problem(error["loc"], _text(error, data))


def is_secret(loc: Loc) -> bool:
    """Whether the value at a place must not be shown."""
    names = [part for part in loc if isinstance(part, str)]
    if any(name in _SECRETS for name in names):
        return True
    if "headers" in names[:-1]:
        return is_secret_header(names[-1])
    return "properties" in names[:-1] and not names[-1].endswith("_file") and librdkafka.is_secret(names[-1])


def at(data: Any, loc: Loc) -> Any:
    """The value at a place, None where there is none."""
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def shown_place(loc: Loc, data: Any) -> str:
    """A place, dotted. A key without a value that is not nearly one of ours may be a value that lost its key: it is left out."""
    last = loc[-1] if loc else 0
    if isinstance(last, str) and at(data, loc) is None and not get_close_matches(last, _names(), 1, 0.75):
        loc = (*loc[:-1], UNSHOWN)
    return dotted(loc)


@cache
def _names() -> frozenset[str]:
    """Every name that may stand as a key."""
    names = {
        str(part) for name in variable_names() for part in name.removeprefix(PREFIX).lower().split(DELIMITER)
    }
    return frozenset(names | librdkafka.KNOWN | {f"{name}_file" for name in librdkafka.KNOWN})


def _text(error: ErrorDetails, data: Any) -> str:
    kind, context, loc = error["type"], error.get("ctx", {}), error["loc"]
    value = at(data, loc)
    if kind == "missing":
        return f"is required; add {loc[-1]}"
    if kind == "extra_forbidden":
        return _unknown(loc)
    shown = _shown(loc, value)
    if kind == "value_error":
        return f"{context['error']}{shown}"
    if kind in _KINDS:
        if value is None:
            return "has no value; give one, or leave the key out"
        return _KINDS[kind] + ("; it is text" if isinstance(value, str) and kind in _MAPPINGS else shown)
    if kind in {"literal_error", "enum"}:
        allowed = str(context["expected"])
        near = get_close_matches(
            str(value).lower(), allowed.replace("'", "").replace(" or ", ", ").split(", "), 1, 0.5
        )
        return f"must be {allowed}{shown}" + (f"; did you mean {near[0]}?" if near else "")
    for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if name in context:
            return f"must be {words} {context[name]:,}{shown}"
    if kind in {"too_short", "string_too_short"}:
        return (
            "must not be empty; give at least one"
            if loc[-1] == "topics"
            else "must not be empty; give a value, or leave the key out"
        )
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}{shown}"


def _shown(loc: Loc, value: Any) -> str:
    """The value, where it may be shown: without a URL's password and query."""
    if value is None or is_secret(loc):
        return ""
    if isinstance(value, dict | list | tuple):
        return f"; it is a {'mapping' if isinstance(value, dict) else 'list'}"
    text = str(value)
    if "://" in text or "@" in text:
        try:
            parts = urlsplit(text.split(maxsplit=1)[0])
            text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else ""
        except ValueError:
            text = ""
        if not text or "@" in text:
            return ""
    return (
        f"; it is {text[:80] + '…' if len(text) > 80 else text!r}"
        if isinstance(value, str)
        else f"; it is {text[:80]}"
    )


def _unknown(loc: Loc) -> str:
    """An unknown key, with the one that was perhaps meant."""
    key, parents = str(loc[-1]), loc[:-1]
    model = _model(parents)
    if model is TopicSettings and key in AepOverrides.model_fields:
        return f"is a key of the inlet; write it under aep: in this topic (topics[{loc[1]}].aep.{key})"
    known = [*model.model_fields]
    near = get_close_matches(key.lower().replace("-", "_"), known, 1, 0.6)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    homes = [home for home in _homes(key) if home != ".".join(str(part) for part in parents)]
    if homes:
        return f"unknown key here; it belongs under {homes[0]}:"
    return f"unknown key; known are {', '.join(known)}"


def _model(loc: Loc) -> type[BaseModel]:
    model: Any = Settings
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            kind, detail = inside(model.model_fields[part].annotation)
            model = detail if kind in {"section", "list"} else model
    return model  # type: ignore[no-any-return]


def _homes(key: str) -> Iterator[str]:
    """The sections that have this key."""
    for name, info in Settings.model_fields.items():
        kind, model = inside(info.annotation)
        if kind in {"section", "list"} and key in model.model_fields:
            yield name
    if key in librdkafka.KNOWN:
        yield "kafka.properties"
    if key in _auth_keys():
        yield "aep.auth"


def _auth_keys() -> frozenset[str]:
    return frozenset(inside(AepOverrides.model_fields["auth"].annotation)[1].model_fields)
