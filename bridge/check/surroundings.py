"""What needs no connection: the configuration, the environment around it, and the
memory that the bridge may take.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from pydantic import BaseModel

from bridge.check.findings import Finding, Level
from bridge.config import librdkafka
from bridge.config.container_memory import container_limit
from bridge.config.environment import PREFIX, RESERVED, variable, variables
from bridge.config.memory_ceiling import ceiling
from bridge.config.problems import KeyPath, dotted
from bridge.config.secret_files import unmask
from bridge.config.settings import Settings

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)[^}]*\}")
_STEM = PREFIX.rstrip("_")
_SIMILAR = 0.8
_MIB = 1048576


def offline(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Check configuration, environment and memory.

    Variables that begin with our prefix and name no key were refused when the settings were loaded.
    """
    inlets = {settings.inlet_for(topic).identity for topic in settings.topics}
    text = f"{len(settings.topics)} topics or regexes, {len(inlets)} inlets"
    yield Finding(Level.OK, "configuration", text)
    for warning in settings.warnings:
        yield Finding(Level.WARN, "configuration", warning)
    yield from _environment(settings, environ)
    size, explanation = ceiling(settings)
    text = f"at most {size / _MIB:.0f} MiB ({explanation})"
    if limit := container_limit():
        text += f"; the container has {limit / _MIB:.0f} MiB"
    yield Finding(Level.OK, "memory", text)


def _environment(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    ours = sorted(name for name in environ if name.startswith(PREFIX))
    text = f"{len(ours)} variables of ours: {', '.join(ours)}" if ours else "no variable of ours is set"
    yield Finding(Level.OK, "environment", text)
    for name in sorted(set(environ) - set(ours)):
        if similar := most_similar_variable(name):
            text = "is not a variable of ours, so the bridge ignores it"
            yield Finding(Level.WARN, f"environment {name}", text, f"did you mean {similar}?")
    for loc, reference in references(settings):
        text = f"{dotted(loc)} holds it as it is written"
        if reference not in environ:
            text += f", and the environment has no {reference}"
            if near := get_close_matches(reference, environ, 1, 0.7):
                text += f" (it has {near[0]})"
        next_step = (
            f"the bridge does not replace references: set {_variable(loc)} instead, or write the value"
        )
        yield Finding(Level.WARN, f"environment ${{{reference}}}", text, next_step)


def most_similar_variable(name: str) -> str:
    """Return the variable of ours that another variable's name looks like; empty if it looks like none."""
    text = name.upper().replace("-", "_")
    known = [*variables(), *RESERVED]
    stem = text[: len(_STEM)]
    if stem == _STEM or SequenceMatcher(None, stem, _STEM).ratio() >= _SIMILAR:
        return next(iter(get_close_matches(text, known, 1, 0.7)), f"{PREFIX}SECTION__KEY")
    return next(iter(get_close_matches(text, known, 1, _SIMILAR)), "") if "__" in text else ""


def references(value: Any, loc: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield every `${NAME}` in the settings, secrets included, with the place where it stands."""
    value = unmask(value)
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name), (*loc, name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from references(item, (*loc, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from references(item, (*loc, index))
    elif isinstance(value, str) or hasattr(value, "__fspath__"):
        yield from ((loc, match[1]) for match in _REFERENCE.finditer(str(value)))


def _variable(loc: KeyPath) -> str:
    """Return the variable of a key. The last part of a property's or a header's
    variable has its own spelling.
    """
    last = str(loc[-1])
    if "properties" in loc[:-1]:
        return variable((*loc[:-1], librdkafka.environment_name(last)))
    if "headers" in loc[:-1]:
        return variable((*loc[:-1], last.replace("-", "_")))
    return variable(loc)
