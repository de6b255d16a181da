"""The application on the scene of the reference's examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.api.client import Api
from tests.contract.stage import Stage


class _Nowhere:
    """Takes what would be told to workers."""

    def put(self, target: str, operation_id: int | None) -> None:
        """Nobody listens."""


@pytest.fixture(scope="module")
def stage(module_api: Api, database: Engine) -> Iterator[Stage]:
    """The scene, kept from test to test while nothing changes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scheduler.nudge._nudger", _Nowhere)
        yield Stage(module_api, database)
