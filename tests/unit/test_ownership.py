"""One owner for each thing: no file writes the fields of an object whose class another file defines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bridge

ROOT = Path(bridge.__file__).parent
LIBRARIES = frozenset({"function.restype", "function.argtypes", "context.verify_mode"})
"""ctypes and ssl are set up by assignments to their objects."""
UVICORN = frozenset({"self._server.should_exit", "self._server.force_exit"})
"""How a uvicorn server is told to stop, by its documentation."""


def attribute_writes(tree: ast.AST) -> Iterator[tuple[int, ast.Attribute]]:
    """Yield the line of each assignment to an attribute, in every form, and the attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            targets = list(node.targets)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.withitem):
            targets = [target for target in [getattr(node, "target", None)] if target is not None]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
            targets = [ast.Attribute(node.args[0], ast.unparse(node.args[1]).strip("'"), ast.Store())]
        else:
            continue
        while targets:
            target = targets.pop()
            if isinstance(target, ast.Tuple | ast.List):
                targets += target.elts
            elif isinstance(target, ast.Attribute):
                yield getattr(node, "lineno", 0), target


def own_fields(tree: ast.AST) -> set[str]:
    """Return the names of all fields of the classes that a file defines."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        names |= {each.target.id for each in node.body if _is_annotated_name(each)}
        names |= {
            target.attr
            for _, target in attribute_writes(node)
            if ast.unparse(target.value) in {"self", "cls"}
        }
    return names


def _is_annotated_name(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def foreign_writes(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each write to a field that no class of the same file has."""
    tree = ast.parse(source)
    own = own_fields(tree)
    for line, target in attribute_writes(tree):
        if ast.unparse(target.value) in {"self", "cls"}:
            continue
        if target.attr not in own:
            yield line, ast.unparse(target)


def test_a_foreign_write_is_found() -> None:
    """In every form that Python has for it; a file may write what its own classes have."""
    forms = [
        "a.b = 1",
        "a.b += 1",
        "a.b: int = 1",
        "del a.b",
        "setattr(a, 'b', 1)",
        "x, (y, a.b) = 1, (2, 3)",
    ]
    assert sorted(line for line, _ in foreign_writes("\n".join(forms))) == [1, 2, 3, 4, 5, 6]

    own = (
        "class A:\n    def __init__(self):\n        self.b = 1\n\n\ndef change(a):\n    a.b = 2\n    a.c = 3"
    )
    assert list(foreign_writes(own)) == [(8, "a.c")]


def test_no_file_writes_the_fields_of_another_files_objects() -> None:
    """Whoever wants a change asks the owner for it, so that there is one place to look at."""
    found = [
        f"{file.relative_to(ROOT)}:{line}: {target}"
        for file in sorted(ROOT.rglob("*.py"))
        for line, target in foreign_writes(file.read_text())
        if target not in LIBRARIES | UVICORN
    ]

    assert found == []
