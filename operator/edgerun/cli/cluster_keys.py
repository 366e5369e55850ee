"""The signing keys of an installation, by the rights of whoever asks; and what can be seen of its operator.

All of it is two objects: the Secret `NAME-keys`, which is changed as the operator itself changes it, and the Deployment
NAME, which may be out of sight. Trap: the Secret holds private keys, and whoever can read it can sign.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ..api.durations import seconds
from ..api.meta import ObjectKey
from ..credentials.keyring import POLICY, revoke, rotate
from ..credentials.keys import KeySet, decoded, new_private
from ..credentials.keystore import Change, changed
from ..credentials.listing import Listing, listing
from ..errors import ApiError, InvalidError, NotFoundError
from ..infra.kubernetes.client import Client, Object, connected
from ..infra.kubernetes.vault import TIMEOUT_S, SecretVault
from .api_errors import explained
from .keychain import Operator

_INTERVAL = "--key-interval="


class Place(NamedTuple):
    """Where an operator is installed, and how it is called."""

    namespace: str
    name: str

    @property
    def secret(self) -> str:
        return f"{self.name}-keys"


@asynccontextmanager
async def opened(place: Place, kubeconfig: Path | None, context: str) -> AsyncIterator["ClusterKeys"]:
    """Raises SettingsError when there is no way to a cluster."""
    async with connected(kubeconfig, context=context) as client:
        yield ClusterKeys(client, place)


class ClusterKeys:
    """Raises ApiError with the way out."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client, self._place = client, place
        self._vault = SecretVault(client, place.namespace, place.secret)

    async def listing(self) -> Listing:
        with _explained(self._place):
            return listing(await self._stored())

    async def rotate(self) -> Listing:
        return await self._changed(rotate)

    async def revoke(self, kid: str) -> Listing:
        def without(keys: KeySet) -> KeySet:
            try:
                return revoke(keys, kid, datetime.now(UTC), POLICY, new_key=new_private)
            except LookupError as error:  # it was there when it was chosen
                raise InvalidError(str(error)) from None

        return await self._changed(without)

    async def operator(self) -> Operator | None:
        """None when it cannot be seen."""
        try:
            key = ObjectKey("Deployment", self._place.namespace, self._place.name)
            found = await self._client.get(key, timeout_s=TIMEOUT_S)
        except ApiError:
            return None
        return Operator(_interval(found), bool(found.get("status", {}).get("readyReplicas")))

    async def _changed(self, change: Change) -> Listing:
        def of_some(keys: KeySet) -> KeySet:
            if not keys.keys:
                raise NotFoundError("deleted a moment ago", status=404)
            return change(keys)

        with _explained(self._place):
            await self._stored()  # what is not there, or cannot be read, is for the operator to make
            return listing(await changed(self._vault, of_some))

    async def _stored(self) -> KeySet:
        found = await self._vault.read()
        if found is None:
            raise NotFoundError("not found", status=404)
        try:
            return decoded(found[0])
        except ValueError as error:
            raise InvalidError(
                f"Secret {self._place.namespace}/{self._place.secret}: {error}; an operator that runs makes all keys "
                "anew within half a minute"
            ) from None


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    secret = f"Secret {place.namespace}/{place.secret}"
    try:
        with explained(secret, role=f"--namespace {place.namespace} --role={place.secret}"):
            yield
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no {secret}, which an operator makes when it first runs; if yours is installed elsewhere, name "
            "its namespace with --namespace, and its Deployment with --name",
            status=error.status,
        ) from error


def _interval(deployment: Object) -> timedelta:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    words = [word for one in containers for word in one.get("args") or () if word.startswith(_INTERVAL)]
    try:
        return timedelta(seconds=seconds(words[-1].removeprefix(_INTERVAL))) if words else POLICY.interval
    except ValueError:
        return POLICY.interval
