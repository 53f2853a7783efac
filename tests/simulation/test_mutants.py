"""The proof can fail: every deliberate bug is caught."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.mutants import MUTANTS, broken, hunt

LIMIT = 1000


def _caught(number: int) -> tuple[str, int | None, int]:
    found = hunt(number, LIMIT)
    return found.mutant, found.seed, found.histories


def test_each_mutant_is_caught() -> None:
    """Within a few hundred histories, and by a violation of the contract rather than by an exception."""
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        missed = [title for title, seed, _ in pool.map(_caught, range(len(MUTANTS))) if seed is None]

    assert not missed
    assert len(MUTANTS) >= 12


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title.replace(" ", "-"))
def test_a_mutant_is_undone(mutant: object) -> None:
    """The engine is whole again afterwards."""
    from tests.simulation.mutants import Mutant

    assert isinstance(mutant, Mutant)
    *path, name = mutant.name.split(".")
    holder = getattr(mutant.module, path[0]) if path else mutant.module
    before = vars(holder)[name]
    with broken(mutant):
        assert vars(holder)[name] is not before

    assert vars(holder)[name] is before
