"""What needs no connection: the configuration, the environment around it, the memory it may take."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from pydantic import BaseModel

from bridge.check.findings import Finding, Level
from bridge.config import librdkafka
from bridge.config.environment import RESERVED, names, variable
from bridge.config.memory_ceiling import ceiling, container_limit
from bridge.config.sections import Loc, dotted, revealed
from bridge.config.settings import PREFIX, Settings

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)[^}]*\}")
_STEM = PREFIX.rstrip("_")
_ALIKE = 0.8


def offline(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Configuration, environment, memory. Variables that begin as ours do and are none were refused when the settings were loaded."""
    inlets = {settings.inlet_for(topic).identity for topic in settings.topics}
    yield Finding(
        Level.OK, "configuration", f"{len(settings.topics)} topics or regexes, {len(inlets)} inlets"
    )
    for warning in settings.warnings:
        yield Finding(Level.WARN, "configuration", warning)
    yield from _environment(settings, environ)
    size, text = ceiling(settings)
    limit = container_limit()
    yield Finding(
        Level.OK,
        "memory",
        f"at most {size / 1048576:.0f} MiB ({text})"
        + (f"; the container has {limit / 1048576:.0f} MiB" if limit else ""),
    )


def _environment(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    ours = sorted(name for name in environ if name.startswith(PREFIX))
    yield Finding(
        Level.OK,
        "environment",
        f"{len(ours)} variables of ours: {', '.join(ours)}" if ours else "no variable of ours is set",
    )
    for name in sorted(set(environ) - set(ours)):
        if meant := nearest(name):
            yield Finding(
                Level.WARN,
                f"environment {name}",
                "is not one of ours, and is not looked at",
                f"did you mean {meant}?",
            )
    for loc, reference in references(settings):
        there = reference in environ
        near = "" if there else next(iter(get_close_matches(reference, environ, 1, 0.7)), "")
        unset = (
            ""
            if there
            else f", and the environment has no {reference}" + (f" (it has {near})" if near else "")
        )
        do = f"references are not filled in: set {_variable(loc)} instead, or write the value"
        yield Finding(
            Level.WARN, f"environment ${{{reference}}}", f"{dotted(loc)} holds it as it is written{unset}", do
        )


def nearest(name: str) -> str:
    """The variable of ours that another one looks like; empty where it looks like none."""
    text = name.upper().replace("-", "_")
    known = [*names(), *RESERVED]
    if text[: len(_STEM)] == _STEM or SequenceMatcher(None, text[: len(_STEM)], _STEM).ratio() >= _ALIKE:
        return next(iter(get_close_matches(text, known, 1, 0.7)), f"{PREFIX}SECTION__KEY")
    return next(iter(get_close_matches(text, known, 1, _ALIKE)), "") if "__" in text else ""


def references(value: Any, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Every `${NAME}` in the settings, secrets included, and where it stands."""
    value = revealed(value)
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name), (*loc, name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from references(item, (*loc, name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from references(item, (*loc, number))
    elif isinstance(value, str) or hasattr(value, "__fspath__"):
        yield from ((loc, found[1]) for found in _REFERENCE.finditer(str(value)))


def _variable(loc: Loc) -> str:
    """A key's variable; properties and headers are spelt differently there."""
    last = str(loc[-1])
    if "properties" in loc[:-1]:
        return variable((*loc[:-1], librdkafka.environment_name(last)))
    return variable((*loc[:-1], last.replace("-", "_"))) if "headers" in loc[:-1] else variable(loc)
