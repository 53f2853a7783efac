"""Environment variables over the file's values: `AEP_BRIDGE_KAFKA__GROUP_ID` is `kafka.group_id`, `AEP_BRIDGE_TOPICS__0__TOPIC` is `topics[0].topic`.

A mapping or a list takes JSON: mappings are merged over the file's, lists replace the file's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from bridge.config import librdkafka
from bridge.config.sections import Loc
from bridge.config.settings import DELIMITER, PREFIX, Settings
from bridge.config.settings_kafka import FILE

RESERVED = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}ADMIN_TOKEN_FILE"})
"""Options of the command line that have a variable too."""
_SERVICE_LINK = re.compile(PREFIX + r"(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP)\w*)?)")
_TRUTH = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


@dataclass(slots=True)
class Overrides:
    """The file's values with the variables over them."""

    data: Any
    origins: dict[Loc, str] = field(default_factory=dict)
    """Which variable a value comes from."""
    troubles: list[tuple[str, str]] = field(default_factory=list)
    """Variables, and what is wrong with them."""

    def origin(self, loc: Loc) -> str | None:
        """The variable that a value comes from; None if that is the file."""
        return next(
            (self.origins[loc[:length]] for length in range(len(loc), 0, -1) if loc[:length] in self.origins),
            None,
        )


def variable(loc: Loc) -> str:
    """The variable of a key; an index of a list is a number."""
    return PREFIX + DELIMITER.join(str(part).upper() for part in loc)


def applied(data: Any, environ: Mapping[str, str]) -> Overrides:
    """The variables laid over the file's values, which are changed in place."""
    found = Overrides({} if data is None else data)
    ours = [name for name in environ if name.upper().startswith(PREFIX) and name not in RESERVED]
    for name in sorted(ours, key=lambda name: (name.count(DELIMITER), name)):
        if name != name.upper():
            found.troubles.append((name, f"is not written in capitals; did you mean {name.upper()}?"))
        elif _SERVICE_LINK.fullmatch(name):
            found.troubles.append(
                (
                    name,
                    "comes from Kubernetes, for a Service named aep-bridge; set enableServiceLinks: false on the pod",
                )
            )
        elif (target := _target(name.removeprefix(PREFIX).split(DELIMITER))) is None:
            found.troubles.append((name, f"is no setting{_suggestion(name)}"))
        else:
            _set(found, name, target[0], target[1], environ[name])
    return found


def inside(annotation: Any) -> tuple[str, Any]:
    """What a key holds: ("section", its model), ("list", its items' model), ("mapping", None) or ("value", a type)."""
    kinds = [
        kind
        for kind in (
            get_args(annotation) if get_origin(annotation) not in {tuple, dict, None} else [annotation]
        )
        if kind is not NoneType
    ]
    kind = kinds[0] if kinds else str
    if get_origin(kind) is not None and get_origin(kind) not in {tuple, dict}:  # Annotated[…] inside a union
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:
        return "list", get_args(kind)[0]
    if get_origin(kind) is dict:
        return "mapping", None
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section", kind
    return "value", kind


def names(model: type[BaseModel] = Settings, before: Loc = ()) -> Iterator[str]:
    """Every variable that there is, with 0 for the index of a list."""
    for name, info in model.model_fields.items():
        loc = (*before, name)
        yield variable(loc)
        kind, detail = inside(info.annotation)
        if kind == "section":
            yield from names(detail, loc)
        elif kind == "list":
            yield from names(detail, (*loc, 0))


def _target(parts: list[str]) -> tuple[Loc, tuple[str, Any]] | None:
    """Which key the parts of a variable's name mean, and what it holds; None if there is no such key."""
    loc: Loc = ()
    kind: str = "section"
    detail: Any = Settings
    for part in parts:
        if kind == "section" and (info := detail.model_fields.get(part.lower())) is not None:
            loc = (*loc, part.lower())
            kind, detail = inside(info.annotation)
        elif kind == "list" and part.isdecimal() and len(part) < 6:
            loc, kind = (*loc, int(part)), "section"
        elif (
            kind == "mapping"
            and (key := _property(part) if loc[-1] == "properties" else part.lower().replace("_", "-"))
            is not None
        ):
            loc, kind, detail = (*loc, key), "value", str
        else:
            return None
    return loc, (kind, detail)


def _property(part: str) -> str | None:
    """The librdkafka property that the last part of a variable's name means."""
    for ending, file in (("_FILE", FILE), ("", "")):
        wanted = part.removesuffix(ending) if part.endswith(ending) else ""
        found = next(
            (name for name in sorted(librdkafka.KNOWN) if librdkafka.environment_name(name) == wanted),
            None,
        )
        if found is not None:
            return found + file
    return None


def _suggestion(name: str) -> str:
    """Variables that were perhaps meant."""
    pattern = re.sub(rf"{DELIMITER}\d+{DELIMITER}", f"{DELIMITER}0{DELIMITER}", name)
    near = [
        PREFIX + near
        for near in get_close_matches(
            pattern.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in names()], 1, 0.7
        )
    ]
    if not near:
        return (
            f"; variables are written {PREFIX}SECTION{DELIMITER}KEY, such as {PREFIX}KAFKA{DELIMITER}GROUP_ID"
        )
    index = re.search(rf"{DELIMITER}(\d+){DELIMITER}", name)
    meant = (
        near[0].replace(f"{DELIMITER}0{DELIMITER}", f"{DELIMITER}{index[1]}{DELIMITER}") if index else near[0]
    )
    return f"; did you mean {meant}?"


def _set(found: Overrides, name: str, loc: Loc, holds: tuple[str, Any], text: str) -> None:
    """Lays one variable over the values. Where the file has something else than a mapping or a list on the way, that is the file's problem."""
    here: Any = found.data
    for part, following in zip(loc, (*loc[1:], None), strict=True):
        if isinstance(here, list):
            if not isinstance(part, int) or part > len(here):
                found.troubles.append(
                    (name, f"is item {part} of a list that has {len(here)}; items are counted from 0")
                )
                return
            if part == len(here):
                here.append({})
        elif not isinstance(here, dict):
            return
        if following is None:
            _put(found, name, here, loc, holds, text)
            return
        below = here.get(part) if isinstance(here, dict) else here[part]
        if below is None:
            below = [] if isinstance(following, int) else {}
        here[part] = below
        here = below


def _put(found: Overrides, name: str, here: Any, loc: Loc, holds: tuple[str, Any], text: str) -> None:
    kind, detail = holds
    last = loc[-1]
    if kind == "value":
        other = str(last).removesuffix(FILE) if str(last).endswith(FILE) else f"{last}{FILE}"
        if other in here and (*loc[:-1], other) not in found.origins:
            del here[other]  # the file's way to give this value
        here[last] = _scalar(detail, text)
        found.origins[loc] = name
        return
    try:
        given = json.loads(text)
    except ValueError:
        found.troubles.append((name, f"must be JSON, {'a list' if kind == 'list' else 'an object'}"))
        return
    before = here.get(last) if isinstance(here, dict) else here[last]
    if isinstance(given, dict) and isinstance(before, dict):
        here[last] = before | given
        found.origins.update({(*loc, key): name for key in given})
    else:
        here[last] = given
        found.origins[loc] = name


def _scalar(kind: Any, text: str) -> Any:
    """The text as the type that its key has; where it is none, the text, which the settings will refuse."""
    try:
        if kind is bool:
            return _TRUTH[text.strip().lower()]
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
    except (ValueError, KeyError):
        return text
    return text
