"""Everything here asks a real Prometheus; without it it is skipped, and says so."""

from pathlib import Path

import pytest

from support import prometheus


@pytest.fixture(autouse=True)
def _installed() -> None:
    if reason := prometheus.missing():
        pytest.skip(f"no test asks a real Prometheus: {reason}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path
