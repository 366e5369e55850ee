"""Options of the whole suite."""

import asyncio

import pytest
from hypothesis import HealthCheck, settings

from edgerun.xds import session, watch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what comes out as the new golden files")


def pytest_configure() -> None:
    # How long an example takes says how busy the machine is. What Hypothesis has for CI stays.
    settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
    # Up to Python 3.13 a plugin that asks for the current event loop makes one and never closes it.
    asyncio.set_event_loop(None)


# A connection that is given up while a test has an API server stopped waits for the server's goodbye, as TLS has it,
# and the loop of the test ends before. The socket is closed all the same, by who collects the garbage: a later test.
UNCLOSED = pytest.mark.filterwarnings(
    "ignore:unclosed transport:ResourceWarning", "ignore:unclosed <socket:ResourceWarning"
)

ASKED_FOR = ("apiserver", "cluster")  # they start a control plane, beside which nothing else keeps its deadlines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # They run only where they are asked for, as `make e2e` does: pytest -m "apiserver or cluster".
    markers = [marker for marker in ASKED_FOR if marker not in config.getoption("-m")]
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in markers)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if item.get_closest_marker("apiserver"):
            item.add_marker(UNCLOSED)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def no_gate_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on all the same did not wait for a client until the time was over."""
    for module in (session, watch):
        monkeypatch.setattr(module, "GATE_S", 3600.0)
