"""Replace functions and methods of the bridge in this process, before it starts.

A name that is not there any more raises AttributeError: otherwise the variant would silently measure less.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def replace(owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Replace a method of a class, or a function of a module wherever the bridge has imported it."""
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    if isinstance(owner, ModuleType):
        for module in _bridge_modules():
            for imported_as in [key for key, value in vars(module).items() if value is original]:
                setattr(module, imported_as, replacement)


def _bridge_modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.partition(".")[0] == "bridge"]
