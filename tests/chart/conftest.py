"""Everything here is rendered by a real Helm; where it is not built, all of it is skipped, and says so."""

from pathlib import Path

import pytest

from support import chart


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.helm)


@pytest.fixture(autouse=True)
def helm_is_there() -> None:
    if reason := chart.missing():
        pytest.skip(f"no test renders the chart: {reason}")
