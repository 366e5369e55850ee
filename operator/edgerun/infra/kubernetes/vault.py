"""One Secret, as bytes: read, written only over the version that was read, and watched.

What others have put beside the data, such as labels, stays. Trap: a watch only tells when to read; one that was cut off
has told nothing of what happened until the next one begins, which is why each of them tells something at once.
"""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from ...api.meta import ObjectKey
from ...complaint import Complaint
from ...errors import ApiError, NotFoundError

TIMEOUT_S = 5.0
WATCH_S = 60.0  # of one watch: one whose connection is lost without a word is missed for no longer
AGAIN_S, AGAIN_AT_MOST_S = 0.1, 5.0  # from one watch to the next, and when that fails again and again
_OF_THE_SERVER = ("managedFields", "creationTimestamp", "uid", "selfLink", "generation")
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]


class Secrets(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def get(self, key: ObjectKey, *, timeout_s: float) -> Object: ...

    async def create(self, manifest: Object, *, timeout_s: float) -> Object: ...

    async def replace(self, manifest: Object, *, timeout_s: float) -> Object: ...

    def watch(self, key: ObjectKey, *, lasts_s: float) -> AsyncGenerator[None]: ...


class SecretVault:
    """`owner` is an ownerReference: when that object is gone, so is the Secret."""

    def __init__(self, secrets: Secrets, namespace: str, name: str, *, owner: Object | None = None) -> None:
        self._secrets, self._key, self._owner = secrets, ObjectKey("Secret", namespace, name), owner
        self._beside: Object = {}  # the metadata of the version that was read last

    async def read(self) -> tuple[Mapping[str, bytes], str] | None:
        """Data and version; None when there is none. What is no base64 cannot be stored in a Secret."""
        try:
            found = await self._secrets.get(self._key, timeout_s=TIMEOUT_S)
        except NotFoundError:
            return None
        self._beside = found["metadata"]
        data = {name: b64decode(value) for name, value in (found.get("data") or {}).items()}
        return data, str(found["metadata"]["resourceVersion"])

    async def write(self, data: Mapping[str, bytes], version: str) -> None:
        """Raises ConflictError when `version` is not what is stored, NotFoundError when nothing is."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self._metadata(version),
            "type": "Opaque",
            "data": {name: b64encode(value).decode() for name, value in data.items()},
        }
        ask = self._secrets.replace if version else self._secrets.create
        await ask(manifest, timeout_s=TIMEOUT_S)

    async def changes(self) -> AsyncIterator[None]:
        """Something whenever another version may be stored than the one that was read last; never ends."""
        complaint = Complaint(logger, f"changes of {self._key} are not told, and are noticed late")
        pause_s = AGAIN_S
        while True:
            try:
                async with aclosing(self._secrets.watch(self._key, lasts_s=WATCH_S)) as told:
                    async for _ in told:
                        complaint.end()
                        pause_s = AGAIN_S
                        yield
            except ApiError as error:
                complaint.say(str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, AGAIN_AT_MOST_S)

    def _metadata(self, version: str) -> Object:
        metadata: dict[str, Any] = {"namespace": self._key.namespace, "name": self._key.name}
        if version and version == self._beside.get("resourceVersion"):
            metadata |= {name: value for name, value in self._beside.items() if name not in _OF_THE_SERVER}
        metadata["labels"] = metadata.get("labels", {}) | {"app.kubernetes.io/managed-by": "edgerun"}
        if self._owner:
            metadata["ownerReferences"] = [self._owner]
        return metadata | ({"resourceVersion": version} if version else {})
