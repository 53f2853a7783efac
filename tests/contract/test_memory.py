"""The Kafka in memory, which most tests use, keeps the contract."""

from __future__ import annotations

import pytest

from tests.contract.suite import DeadLetterContract, SourceContract
from tests.contract.worlds import MemoryWorld, World


class TestMemory(SourceContract, DeadLetterContract):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()
