"""Options of the whole suite."""

import asyncio

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what comes out as the new golden files")


def pytest_configure() -> None:
    # Up to Python 3.13 a plugin that asks for the current event loop makes one and never closes it.
    asyncio.set_event_loop(None)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
