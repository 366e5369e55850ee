"""The rollouts of an OriginService in a cluster, by the rights of whoever asks.

What is ordered is an annotation of the OriginService, and `spec.traffic` is its own: both are written as an edit of
what was read, so that nothing that others write meanwhile is lost.

Trap: an apply of the user's own file leaves an annotation alone that the file does not have, but not a `spec.traffic`
that it has. A client-side apply writes over it; a server-side one is refused in the name of `MANAGER`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from ..api import originrevision, originservice
from ..api.meta import ObjectKey
from ..errors import ApiError, ConflictError, NotFoundError, SettingsError
from ..infra.kubernetes.client import Client, Object, connected
from ..translate.labels import ORIGIN_SERVICE
from ..translate.revisions.judgement import Order
from ..translate.revisions.wishes import ORDER
from .api_errors import explained
from .rollouts import Seen, seen

ATTEMPTS = 5  # against others who write
MANAGER = "edgerun-rollout"  # of the fields that are written here: conflicts of others name it

Edit = Callable[[dict[str, Any]], Any]


@asynccontextmanager
async def opened(
    namespace: str, service: str, kubeconfig: Path | None, context: str
) -> AsyncIterator["ClusterRollouts"]:
    """Raises SettingsError when there is no way to a cluster."""
    async with connected(kubeconfig, context=context) as client:
        yield ClusterRollouts(client, ObjectKey(originservice.KIND, namespace, service))


class ClusterRollouts:
    def __init__(self, client: Client, key: ObjectKey) -> None:
        self._client, self._key = client, key

    async def seen(self) -> Seen:
        with self._explained():
            service = await self._got()
            revisions = await self._client.list_(
                originrevision.KIND,
                namespace=self._key.namespace,
                label_selector=f"{ORIGIN_SERVICE}={self._key.name}",
            )
            return seen(service, revisions)

    async def order(self, order: Order) -> None:
        written = f"{order.verb}/{order.revision_name}"
        await self._edited(lambda raw: raw["metadata"].setdefault("annotations", {}).update({ORDER: written}))

    async def lead_to(self, revision: str) -> tuple[str, ...]:
        edited = await self._edited(lambda raw: raw["spec"].update(traffic=_leading(raw["spec"], revision)))
        return _writers_of_traffic(edited["metadata"])

    async def _edited(self, edit: Edit) -> Object:
        """What was written, with the metadata of before."""
        left = ATTEMPTS
        with self._explained():
            while True:
                left -= 1
                raw = dict(await self._got())
                edit(raw)
                try:
                    await self._client.replace(raw, manager=MANAGER)
                except ConflictError:
                    if not left:
                        raise
                else:
                    return raw

    def _explained(self) -> AbstractContextManager[None]:
        return explained(str(self._key), role=f"--namespace {self._key.namespace} --clusterrole=edit")

    async def _got(self) -> Object:
        try:
            return await self._client.get(self._key)
        except NotFoundError as error:
            raise SettingsError(await self._missing()) from error

    async def _missing(self) -> str:
        try:
            found = await self._client.list_(self._key.kind, namespace=self._key.namespace)
        except NotFoundError:
            return (
                "the cluster knows no OriginService; install Edgerun there, or choose another one with --context NAME"
            )
        except ApiError:
            return f"there is no {self._key}; if it is in another namespace, name that with --namespace"
        names = ", ".join(sorted(one["metadata"]["name"] for one in found)) or "none"
        return (
            f"there is no {self._key}; in that namespace there are: {names}. If it is in another one, name that with "
            "--namespace"
        )


def _leading(spec: Object, revision: str) -> list[dict[str, Any]]:
    """All requests to `revision`; whoever has a tag keeps it."""
    tagged = [{**one, "percent": 0} for one in spec.get("traffic") or () if one.get("tag")]
    return [{"revisionName": revision, "percent": 100}, *tagged]


def _writers_of_traffic(metadata: Object) -> tuple[str, ...]:
    """Who has written `spec.traffic` as it was, besides us."""
    fields = ((one["manager"], one.get("fieldsV1", {})) for one in metadata.get("managedFields", ()))
    found = {manager for manager, owned in fields if "f:traffic" in owned.get("f:spec", {})}
    return tuple(sorted(found - {MANAGER}))
