"""librdkafka's mock cluster keeps the contract, where it can."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.suite import DeadLetterContract, SourceContract
from tests.contract.worlds import MockWorld, World


class TestMockCluster(SourceContract, DeadLetterContract):
    @pytest.fixture
    def world(self) -> Iterator[World]:
        made = MockWorld()
        yield made
        made.close()
