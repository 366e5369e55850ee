"""The few verbs in which the control plane speaks to an API server, on plain dicts; every call ends within its time.

Trap: `apply` owns the fields that it sends and removes those it sent before and no longer does. Send all or nothing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from ...api.meta import ObjectKey, object_key
from ...api.resources import RESOURCES
from ...errors import ApiError, NotFoundError
from .applying import FIELD_MANAGER
from .connection import JSON, Connection, Object, Observer, access, configuration

__all__ = ["TIMEOUT_S", "WRITE_S", "Client", "Object", "Observer", "access", "connected"]

TIMEOUT_S = 10.0  # of one call; a healthy API server answers in milliseconds
WRITE_S = 4.0  # of one that changes something: one begun while leading ends before another may lead (`leader.Timing`)
PAGE = 500  # objects of one LIST request, the page of kubectl
_METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # of a watched Secret its data is not even sent
_METADATA_LIST = _METADATA.replace("Metadata;", "MetadataList;")
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_GONE = 410
_STRICT = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}  # a misspelt field is a mistake of ours


@asynccontextmanager
async def connected(
    kubeconfig: Path | None = None, *, context: str = "", observer: Observer | None = None
) -> AsyncIterator["Client"]:
    """A client: by `kubeconfig`, else as the pod that this is, else by the user's own kubeconfig, in that `context`.

    Raises SettingsError when none of them can be read. Nothing is asked of the server yet.
    """
    client = Client(await configuration(kubeconfig, context), kubeconfig, observer, context=context)
    try:
        yield client
    finally:
        await client.close()


class Client(Connection):
    """All verbs raise ApiError."""

    async def apply(self, manifest: Object, *, timeout_s: float = WRITE_S) -> Object:
        """Server-side apply, also over the heads of other field managers; the object as it is stored now."""
        return await self._apply(manifest, "", timeout_s)

    async def hand_over(self, manifest: Object, *, timeout_s: float = WRITE_S) -> Object:
        """Have these fields belong to nobody in particular as well, so that they stay when we no longer apply them."""
        return await self._apply(manifest, "", timeout_s, manager=f"{FIELD_MANAGER}-handover")

    async def apply_status(self, manifest: Object, *, timeout_s: float = WRITE_S) -> Object:
        """The same for `status`, and for nothing else that `manifest` holds."""
        return await self._apply(manifest, "status", timeout_s)

    async def get(self, key: ObjectKey, *, timeout_s: float = TIMEOUT_S) -> Object:
        return await self._call("GET", _path(key), timeout_s=timeout_s)

    async def watch(self, key: ObjectKey, *, lasts_s: float) -> AsyncGenerator[None]:
        """Something when changes of this one object begin to be told, and whenever it may be another one; read it then.

        Ends after about `lasts_s`, or earlier when the server wants it so; close it when you leave it before.
        """
        path = RESOURCES[key.kind].path(key.namespace)
        only = {"watch": "true", "fieldSelector": f"metadata.name={key.name}", "timeoutSeconds": f"{lasts_s:.0f}"}
        # From whatever the server has at hand; else it lets one wait until something happens.
        query, asked = only | {"resourceVersion": "0"}, f"watch of {path}/{key.name}"
        changes = self._stream(asked, path, query, accept=_METADATA, starts_s=TIMEOUT_S, lasts_s=lasts_s + TIMEOUT_S)
        async with aclosing(changes):
            async for _ in changes:
                yield

    async def create(self, manifest: Object, *, timeout_s: float = WRITE_S) -> Object:
        """Raises ConflictError when it is there already. Reviews are created too: the answer is the verdict."""
        key = object_key(manifest)
        path = RESOURCES[key.kind].path(key.namespace)
        return await self._call("POST", path, query=_STRICT, body=manifest, timeout_s=timeout_s)

    async def replace(self, manifest: Object, *, manager: str = FIELD_MANAGER, timeout_s: float = WRITE_S) -> Object:
        """Raises ConflictError when the stored version is not that of `metadata.resourceVersion`."""
        path, query = _path(object_key(manifest)), _STRICT | {"fieldManager": manager}
        return await self._call("PUT", path, query=query, body=manifest, timeout_s=timeout_s)

    async def delete(self, key: ObjectKey, uid: str, *, timeout_s: float = WRITE_S) -> None:
        """Deletes the object if it is the one of that `uid`, else raises ConflictError. Gone already is fine."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._call("DELETE", _path(key), body=body, timeout_s=timeout_s)
        except NotFoundError:
            return

    async def list_(
        self, kind: str, *, namespace: str = "", label_selector: str = "", timeout_s: float = TIMEOUT_S
    ) -> tuple[Object, ...]:
        """All objects of a kind as of one moment; `timeout_s` is that of each page."""
        query = {"labelSelector": label_selector} if label_selector else {}
        try:
            return await self._pages(kind, namespace, {**query, "limit": str(PAGE)}, timeout_s)
        except ApiError as error:
            if error.status != _GONE:
                raise
        return await self._pages(kind, namespace, query, timeout_s)  # reading page by page took too long

    async def versions(
        self, kind: str, *, namespace: str, fresh: bool, timeout_s: float = TIMEOUT_S
    ) -> tuple[Mapping[str, str], str]:
        """The version of every object of a kind by its name, and that of the list; their contents are not even sent.

        What is not `fresh` comes from the memory of one API server, which may lag behind that of another.
        """
        query = {} if fresh else {"resourceVersion": "0"}
        path = RESOURCES[kind].path(namespace)
        found = await self._call("GET", path, query=query, accept=_METADATA_LIST, timeout_s=timeout_s)
        every = (item["metadata"] for item in found["items"] or ())  # a list of metadata without any has null
        return {one["name"]: one["resourceVersion"] for one in every}, found["metadata"]["resourceVersion"]

    async def _pages(self, kind: str, namespace: str, query: Mapping[str, str], timeout_s: float) -> tuple[Object, ...]:
        resource = RESOURCES[kind]
        typed = {"apiVersion": resource.api_version, "kind": kind}  # the items of a list do not say what they are
        found: list[Object] = []
        after: Mapping[str, str] = {}
        while True:
            page = await self._call("GET", resource.path(namespace), query={**query, **after}, timeout_s=timeout_s)
            found += [typed | item for item in page["items"]]
            token = page["metadata"].get("continue")
            if not token:
                return tuple(found)
            after = {"continue": token}

    async def _apply(
        self, manifest: Object, subresource: str, timeout_s: float, *, manager: str = FIELD_MANAGER
    ) -> Object:
        path = _path(object_key(manifest), subresource)
        query = _STRICT | {"force": "true", "fieldManager": manager}
        return await self._call("PATCH", path, query=query, body=manifest, media=_APPLY, timeout_s=timeout_s)


def _path(key: ObjectKey, subresource: str = "") -> str:
    return RESOURCES[key.kind].path(key.namespace, key.name, subresource=subresource)
