"""Each test sees the instances that it has started itself, and no other test's."""

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as runtime:  # tmp_path is too long a name for sockets
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield
