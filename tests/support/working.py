"""Something that works for as long as a test looks at it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def at_work(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Runs `work` while the block does; it must not end by itself before."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
        assert not task.done(), f"{name} ended"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
