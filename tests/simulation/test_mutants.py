"""The proof can fail: every deliberate bug is caught."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.mutant_hunt import PINNED, broken, hunt_mutant
from tests.simulation.mutants import MUTANTS, Mutant

LIMIT = 1000


def _caught(number: int) -> tuple[str, int | None, int]:
    outcome = hunt_mutant(number, LIMIT, pinned=True)
    return outcome.mutant, outcome.seed, outcome.histories


def test_each_mutant_is_caught() -> None:
    """Within a few hundred histories, and by a violation of the contract rather than by an exception."""
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        missed = [title for title, seed, _ in pool.map(_caught, range(len(MUTANTS))) if seed is None]

    assert not missed
    assert len(MUTANTS) >= 12
    assert PINNED.keys() <= {mutant.title for mutant in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title.replace(" ", "-"))
def test_a_mutant_is_undone(mutant: Mutant) -> None:
    """The engine is whole again afterwards."""
    *path, name = mutant.name.split(".")
    holder = getattr(mutant.module, path[0]) if path else mutant.module
    before = vars(holder)[name]
    with broken(mutant):
        assert vars(holder)[name] is not before

    assert vars(holder)[name] is before
