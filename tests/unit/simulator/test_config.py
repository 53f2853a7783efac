"""The simulator's configuration can be changed while it runs."""

from __future__ import annotations

import pytest

from bridge.simulator import Config
from bridge.simulator.config import changed


def test_a_change_keeps_the_rest() -> None:
    """A test changes one key of a shape and means only that one; a misspelt key is an error that names it."""
    config = changed(Config(org="o"), {"latency_ms": 5, "shape": {"drop": 1}})
    again = changed(config, {"shape": {"extra": 2}})

    assert (config.org, config.latency_ms, config.shape.drop) == ("o", 5, 1)
    assert (again.latency_ms, again.shape.drop, again.shape.extra) == (5, 1, 2)
    with pytest.raises(ValueError, match="latency"):
        changed(config, {"latency": 5})
