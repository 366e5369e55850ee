"""A vault that ends with its process: of the standalone mode, whose verifiers end with it too."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from ..errors import ConflictError, NotFoundError


class MemoryVault:
    """Behaves as a Secret does: every write is another version, and only the newest one can be replaced."""

    def __init__(self) -> None:
        self._data: Mapping[str, bytes] | None = None
        self._version = 0
        self._written = asyncio.Event()

    async def read(self) -> tuple[Mapping[str, bytes], str] | None:
        return None if self._data is None else (self._data, str(self._version))

    async def write(self, data: Mapping[str, bytes], version: str) -> None:
        if self._data is None and version:
            raise NotFoundError("there is nothing to replace")
        if self._data is not None and version != str(self._version):
            raise ConflictError(f"version {version or 'none'} was read, and {self._version} is stored")
        self._data, self._version = dict(data), self._version + 1
        self._written.set()

    async def changes(self) -> AsyncIterator[None]:
        """Something whenever another version may be stored; for one who listens."""
        while True:
            await self._written.wait()
            self._written.clear()
            yield
