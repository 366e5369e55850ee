"""One Secret, as bytes: read, and written only over the version that was read."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Protocol

from ...api.meta import ObjectKey
from ...errors import NotFoundError

TIMEOUT_S = 5.0

Object = Mapping[str, Any]


class Secrets(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def get(self, key: ObjectKey, *, timeout_s: float) -> Object: ...

    async def create(self, manifest: Object, *, timeout_s: float) -> Object: ...

    async def replace(self, manifest: Object, *, timeout_s: float) -> Object: ...


class SecretVault:
    """`owner` is an ownerReference: when that object is gone, so is the Secret."""

    def __init__(self, secrets: Secrets, namespace: str, name: str, *, owner: Object | None = None) -> None:
        self._secrets, self._key, self._owner = secrets, ObjectKey("Secret", namespace, name), owner

    async def read(self) -> tuple[Mapping[str, bytes], str] | None:
        """Data and version; None when there is none. What is no base64 cannot be stored in a Secret."""
        try:
            found = await self._secrets.get(self._key, timeout_s=TIMEOUT_S)
        except NotFoundError:
            return None
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

    def _metadata(self, version: str) -> Object:
        metadata: dict[str, Any] = {
            "namespace": self._key.namespace,
            "name": self._key.name,
            "labels": {"app.kubernetes.io/managed-by": "edgerun"},
        }
        if self._owner:
            metadata["ownerReferences"] = [self._owner]
        return metadata | ({"resourceVersion": version} if version else {})
