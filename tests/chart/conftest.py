"""Everything here is rendered by a real Helm; where it is not built, all of it is skipped, and says so."""

import pytest

from support import chart


@pytest.fixture(autouse=True)
def helm_is_there() -> None:
    if reason := chart.missing():
        pytest.skip(f"no test renders the chart: {reason}")
