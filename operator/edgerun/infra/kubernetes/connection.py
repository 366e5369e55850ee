"""A connection to an API server: who we are there, one request and what it means when it fails.

The only module that imports `kubernetes`, of which it takes the configuration (in a cluster, or a kubeconfig with all
its ways to log in) and the HTTP client, not the models. Nothing is tried twice here but a call whose credentials the
server no longer knows: they are read anew first, for the tokens of ServiceAccounts rotate.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
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
from ...elapsed import elapsed_s
from ...errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NoClusterError,
    NotFoundError,
    UnavailableError,
)

logging.getLogger("kubernetes.aio.config.kube_config").setLevel(logging.ERROR)  # what it warns of is raised, too

JSON = "application/json"
_BEARER = "bearer "
_OK, _UNAUTHORIZED, _TOO_MANY, _SERVER_ERROR = 200, 401, 429, 500
_UNTYPED = "failed to create typed patch object"  # how an API server says 500 to an apply with an unknown field
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


async def access(kubeconfig: Path | None = None) -> Access:
    """What anybody else needs to reach the same server as the same identity, read anew."""
    found = await configuration(kubeconfig)
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


class Connection:
    """One pool of connections to one API server. What it raises is ApiError, as the tree in `errors` has it."""

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

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        media: str = JSON,
        accept: str = JSON,
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
        media: str = JSON,
        accept: str = JSON,
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

    async def _stream(
        self, asked: str, path: str, query: Mapping[str, str], *, accept: str, starts_s: float, lasts_s: float
    ) -> AsyncGenerator[None]:
        """Something when the answer begins, and whenever more of it comes; close it if you leave it earlier."""
        with _failing(asked, lasts_s):
            async with asyncio.timeout(starts_s):
                response = await self._ask("GET", path, query, None, accept=accept, lasts_s=lasts_s)
            try:
                await self._admitted(asked, response)
                yield
                async for _ in response.response.content.iter_any():
                    yield
            finally:
                response.response.close()

    async def _admitted(self, asked: str, response: RESTResponse) -> None:
        """Raises ApiError when the answer is no stream of changes; asked again, it may be one."""
        if response.status == _OK:
            return
        answer = await _whole(response)
        if answer.status == _UNAUTHORIZED:
            await self._log_in_again()
        _read(asked, answer)

    async def _log_in_again(self) -> None:
        before, self._api = self._api, _api(await configuration(self._kubeconfig, self._context))
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


async def configuration(kubeconfig: Path | None, context: str = "") -> Configuration:
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
        tried = f"the kubeconfig {kubeconfig}" if kubeconfig else "neither a pod's ServiceAccount nor your kubeconfig"
        shows = f"{tried} shows {'no' if kubeconfig else 'a'} way to an API server"
        raise NoClusterError(f"{shows}: {error}") from error
    return found


def _api(configuration: Configuration) -> ApiClient:
    api = ApiClient(configuration)
    api.user_agent = f"edgerun/{__version__}"
    return api


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
