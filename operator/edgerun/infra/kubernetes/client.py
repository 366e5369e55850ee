"""The few verbs in which the control plane speaks to an API server, on plain dicts; every call ends within its time.

The only module that imports `kubernetes`, of which it takes the configuration (in a cluster, or a kubeconfig with all
its ways to log in) and the HTTP client, not the models. Nothing is tried twice here but a call whose credentials the
server no longer knows: they are read anew first, for the tokens of ServiceAccounts rotate.

Trap: `apply` owns the fields that it sends and removes those it sent before and no longer does. Send all or nothing.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTResponse
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from ... import __version__
from ...access import Access
from ...api.meta import ObjectKey, object_key
from ...api.resources import RESOURCES
from ...elapsed import elapsed_s
from ...errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from .applying import FIELD_MANAGER

TIMEOUT_S = 10.0  # of one call; a healthy API server answers in milliseconds
WRITE_S = 4.0  # of one that changes something: one begun while leading ends before another may lead (`leader.Timing`)
PAGE = 500  # objects of one LIST request, the page of kubectl
_JSON = "application/json"
_METADATA = f"{_JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # of a watched Secret its data is not even sent
_METADATA_LIST = _METADATA.replace("Metadata;", "MetadataList;")
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_BEARER = "bearer "
_OK, _UNAUTHORIZED, _GONE, _TOO_MANY, _SERVER_ERROR = 200, 401, 410, 429, 500
_UNTYPED = "failed to create typed patch object"  # how an API server says 500 to an apply with an unknown field
_STRICT = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}  # a misspelt field is a mistake of ours
_ERRORS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
}

Object = Mapping[str, Any]
Observer = Callable[[str, int, float], None]  # of each request: its method, the status or 0 for no answer, and seconds


class _Answer(NamedTuple):
    status: int
    retry_after: str
    body: bytes


@asynccontextmanager
async def connected(
    kubeconfig: Path | None = None, *, context: str = "", observer: Observer | None = None
) -> AsyncIterator["Client"]:
    """A client: by `kubeconfig`, else as the pod that this is, else by the user's own kubeconfig, in that `context`.

    Raises SettingsError when none of them can be read. Nothing is asked of the server yet.
    """
    client = Client(await _configuration(kubeconfig, context), kubeconfig, observer, context=context)
    try:
        yield client
    finally:
        await client.close()


async def access(kubeconfig: Path | None = None) -> Access:
    """What anybody else needs to reach the same server as the same identity, read anew."""
    found = await _configuration(kubeconfig)
    token = found.api_key.get("BearerToken") or ""
    return Access(
        server=found.host,
        verify=bool(found.verify_ssl),
        ca_file=found.ssl_ca_cert or "",
        certificate_file=found.cert_file or "",
        key_file=found.key_file or "",
        token=token[len(_BEARER) :] if token.lower().startswith(_BEARER) else token,
        proxy=found.proxy or "",
    )


class Client:
    """One connection pool to one API server. All verbs raise ApiError, as the tree in `errors` has it."""

    def __init__(
        self,
        configuration: Configuration,
        kubeconfig: Path | None,
        observer: Observer | None = None,
        *,
        context: str = "",
    ) -> None:
        self._kubeconfig, self._context, self._observer = kubeconfig, context, observer
        self._api = _api(configuration)
        self._date, self._dated_s = "", 0.0

    def server_time(self) -> datetime | None:
        """What time the server has, within a second, by its last answer; None when that was without a date."""
        try:
            date = parsedate_to_datetime(self._date)
        except ValueError:
            return None
        half = timedelta(seconds=0.5)  # a date has no fractions
        return date.astimezone(UTC) + half + timedelta(seconds=elapsed_s() - self._dated_s)

    async def close(self) -> None:
        await self._api.close()

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
        only["resourceVersion"] = (
            "0"  # from whatever the server has at hand; else it lets one wait until something happens
        )
        with _failing(f"watch of {path}/{key.name}", lasts_s + TIMEOUT_S):
            async with asyncio.timeout(TIMEOUT_S):
                response = await self._ask("GET", path, only, None, accept=_METADATA, lasts_s=lasts_s + TIMEOUT_S)
            try:
                await self._admitted(f"watch of {path}/{key.name}", response)
                yield
                async for _ in response.response.content.iter_any():
                    yield
            finally:
                response.response.close()

    async def create(self, manifest: Object, *, timeout_s: float = WRITE_S) -> Object:
        """Raises ConflictError when it is there already. Reviews are created too: the answer is the verdict."""
        key = object_key(manifest)
        path = RESOURCES[key.kind].path(key.namespace)
        return await self._call("POST", path, query=_STRICT, body=manifest, timeout_s=timeout_s)

    async def replace(self, manifest: Object, *, timeout_s: float = WRITE_S) -> Object:
        """Raises ConflictError when the stored version is not that of `metadata.resourceVersion`."""
        return await self._call("PUT", _path(object_key(manifest)), query=_STRICT, body=manifest, timeout_s=timeout_s)

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

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        media: str = _JSON,
        accept: str = _JSON,
        timeout_s: float,
    ) -> dict[str, Any]:
        with _failing(f"{method} {path}", timeout_s):
            async with asyncio.timeout(timeout_s):
                answer = await self._observed(method, path, query or {}, body, media, accept)
                if answer.status == _UNAUTHORIZED:
                    await self._log_in_again()
                    answer = await self._observed(method, path, query or {}, body, media, accept)
        return _read(f"{method} {path}", answer)

    async def _observed(
        self, method: str, path: str, query: Mapping[str, str], body: Object | None, media: str, accept: str
    ) -> _Answer:
        began, status = time.monotonic(), 0
        try:
            answer = await _whole(await self._ask(method, path, query, body, media=media, accept=accept))
            status = answer.status
            return answer
        finally:
            if self._observer:
                self._observer(method, status, time.monotonic() - began)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None,
        *,
        media: str = _JSON,
        accept: str = _JSON,
        lasts_s: float | None = None,
    ) -> RESTResponse:
        sent = await self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept, "Content-Type": media},
            body=body,
            auth_settings=["BearerToken"],
        )
        timeout = lasts_s and aiohttp.ClientTimeout(total=lasts_s)
        response = await self._api.call_api(*sent, _request_timeout=timeout)
        self._date, self._dated_s = response.headers.get("Date", ""), elapsed_s()
        return response

    async def _admitted(self, asked: str, response: RESTResponse) -> None:
        """Raises ApiError when the answer is no stream of changes; asked again, it may be one."""
        if response.status == _OK:
            return
        answer = await _whole(response)
        if answer.status == _UNAUTHORIZED:
            await self._log_in_again()
        _read(asked, answer)

    async def _log_in_again(self) -> None:
        before, self._api = self._api, _api(await _configuration(self._kubeconfig, self._context))
        await before.close()


@contextmanager
def _failing(asked: str, timeout_s: float) -> Iterator[None]:
    """What fails in here is an UnavailableError."""
    try:
        yield
    except TimeoutError:
        raise UnavailableError(f"{asked}: no answer within {timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise UnavailableError(f"{asked}: {error or type(error).__name__}") from error


async def _whole(response: RESTResponse) -> _Answer:
    return _Answer(response.status, response.headers.get("Retry-After", ""), await response.read())


async def _configuration(kubeconfig: Path | None, context: str = "") -> Configuration:
    found = Configuration()
    # As every client of Kubernetes: Python alone, from 3.13 on, refuses authorities that lack a key identifier.
    found.disable_strict_ssl_verification = True
    try:
        if kubeconfig or context:
            where = {"config_file": str(kubeconfig)} if kubeconfig else {}
            chosen = {"context": context} if context else {}
            await load_kube_config(**where, **chosen, client_configuration=found, persist_config=False)
            return found
        try:
            load_incluster_config(found)
        except ConfigException:
            await load_kube_config(client_configuration=found, persist_config=False)
    except (ConfigException, OSError) as error:
        tried = kubeconfig or "the pod's ServiceAccount and the user's kubeconfig"
        raise SettingsError(f"{tried} shows no way to an API server: {error}") from error
    return found


def _api(configuration: Configuration) -> ApiClient:
    api = ApiClient(configuration)
    api.user_agent = f"edgerun/{__version__}"
    return api


def _path(key: ObjectKey, subresource: str = "") -> str:
    return RESOURCES[key.kind].path(key.namespace, key.name, subresource=subresource)


def _read(asked: str, answer: _Answer) -> dict[str, Any]:
    if answer.status < 400:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    try:
        message = msgspec.json.decode(answer.body)["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        message = answer.body.decode(errors="replace").strip()  # a proxy on the way, or a server that is starting
    text = f"{asked}: {message or answer.status}"
    if _UNTYPED in text:
        raise InvalidError(text, status=answer.status)
    if answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR:
        wish = answer.retry_after
        raise UnavailableError(text, status=answer.status, retry_after_s=float(wish) if wish.isdecimal() else 0.0)
    raise _ERRORS.get(answer.status, ApiError)(text, status=answer.status)
