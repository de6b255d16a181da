"""The application on the scene of the reference's examples."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import web
from sqlalchemy import Engine

from compute_agent.interface import application
from db.settings import settings
from tests.api.client import Api
from tests.contract.stage import CONSOLE, Stage


class _Nowhere:
    """Takes what would be told to workers."""

    def put(self, target: str, operation_id: int | None) -> None:
        """Nobody listens."""


@pytest.fixture(scope="module")
def stage(module_api: Api, database: Engine, runner: asyncio.Runner) -> Iterator[Stage]:
    """The scene, kept from test to test while nothing changes it; its host's agent answers."""
    agent = web.AppRunner(application(lambda server, size: CONSOLE[-size:]))
    runner.run(agent.setup())
    runner.run(web.TCPSite(agent, "127.0.0.1", 0).start())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scheduler.nudge._nudger", _Nowhere)
        patch.setattr(settings(), "agent_port", agent.addresses[0][1])
        yield Stage(module_api, database)
    runner.run(agent.cleanup())
