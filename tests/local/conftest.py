from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.harness import House, housed


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path) as house:
        yield house
