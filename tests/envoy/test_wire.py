"""Whom guards let in and whom edges speak to, by their certificates alone; Envoy's TLS on one side or on both."""

import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from edgerun.credentials.certificates import Pair
from support.origins import Origin, origin
from support.ports import free_port
from support.standalone import fetch
from support.wire import DOMAIN, EDGE_ID, GUARD_ID, ask, authority, context, edge, guard, seen, serial, workload

pytestmark = pytest.mark.envoy
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
OURS = authority()
STRANGER = authority()
"""Of the same trust domain by its own account."""

BAD: Mapping[str, Callable[[str], Pair]] = {
    "expired a minute ago": lambda name: workload(OURS, name, ends=-MINUTE),
    "not valid before in an hour": lambda name: workload(OURS, name, starts=60 * MINUTE, ends=DAY),
    "of another trust domain, by our authority": lambda name: workload(OURS, name.replace(DOMAIN, "evil.test")),
    "of another trust domain, by its own": lambda name: workload(
        authority("evil.test"), name.replace(DOMAIN, "evil.test")
    ),
    "of a trust domain within ours": lambda name: workload(OURS, name.replace(DOMAIN, f"a.{DOMAIN}")),
    "by an authority that nobody knows": lambda name: workload(STRANGER, name),
}
NO_EDGES = (GUARD_ID, f"spiffe://{DOMAIN}/edge", f"spiffe://{DOMAIN}/edgex/default", f"spiffe://{DOMAIN}/ns/edge/x")
NOT_THIS_GUARD = (
    f"{GUARD_ID}2",
    GUARD_ID.replace("shop", "other"),
    GUARD_ID.removesuffix("t"),
    f"{GUARD_ID}/",
    EDGE_ID,
)


async def test_an_edge_and_a_guard_that_know_each_other_speak() -> None:
    shown = workload(OURS, EDGE_ID)
    async with (
        guard(workload(OURS, GUARD_ID), OURS.certificate) as behind,
        edge(behind.port, shown, OURS.certificate) as front,
    ):
        assert await seen(front.port) == (EDGE_ID, serial(shown))
        versions = await front.envoy.stats(r"cluster\.cart\.ssl\.versions")
        assert set(versions) == {"cluster.cart.ssl.versions.TLSv1.3"}


async def test_a_guard_lets_in_nobody_else(tmp_path: Path) -> None:
    async with guard(workload(OURS, GUARD_ID), OURS.certificate) as behind:

        async def asked(shown: Pair | None) -> bytes:
            return await ask(behind.port, context(False, shown, OURS.certificate, tmp_path))

        assert b"200 OK" in await asked(workload(OURS, EDGE_ID))
        for why, bad in BAD.items():
            assert await asked(bad(EDGE_ID)) == b"", why
        for name in NO_EDGES:
            assert await asked(workload(OURS, name)) == b"", name
        assert await asked(None) == b"", "no certificate"
        assert await asked(workload(OURS, EDGE_ID)), "it is still there"


async def test_a_guard_speaks_no_older_tls(tmp_path: Path) -> None:
    async with guard(workload(OURS, GUARD_ID), OURS.certificate) as behind:
        old = context(False, workload(OURS, EDGE_ID), OURS.certificate, tmp_path)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await ask(behind.port, old) == b""


async def test_an_edge_speaks_to_nobody_else(tmp_path: Path) -> None:
    shown = {why: bad(GUARD_ID) for why, bad in BAD.items()} | {name: workload(OURS, name) for name in NOT_THIS_GUARD}
    port = free_port()

    def app(pair: Pair) -> AbstractAsyncContextManager[Origin]:
        """Who listens in the place of the guard, and shows this."""
        return origin("app", port=port, tls=context(True, pair, OURS.certificate, tmp_path))

    async with edge(port, workload(OURS, EDGE_ID), OURS.certificate) as front:
        for why, pair in shown.items():
            async with app(pair) as there:
                assert (await fetch(front.port, "/")).status == 503, why
                assert there.requests == [], why
        async with app(workload(OURS, GUARD_ID)) as there:
            assert (await fetch(front.port, "/")).status == 200
            assert len(there.requests) == 1
