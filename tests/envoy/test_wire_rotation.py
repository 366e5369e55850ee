"""Certificates and authorities change under load, with a handshake every few requests, and none of them fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgerun.credentials.authority import Authority, Policy
from edgerun.credentials.certificates import new_workload_authority
from edgerun.credentials.rotation import Rotation
from edgerun.credentials.vaults import MemoryVault
from edgerun.credentials.workloads import Workloads
from support.load import Result, load
from support.poll import eventually
from support.wire import DOMAIN, EDGE_ID, GUARD_ID, Side, ask, authority, context, edge, guard, seen, serial, workload

pytestmark = [pytest.mark.envoy, pytest.mark.load]
REQUESTS = 5  # of one connection from the edge to the guard
SECOND = timedelta(seconds=1)
FAST = Policy(
    authority_life=20 * SECOND,
    successor_at=1 / 3,
    overlap=3 * SECOND,
    leaf_life=8 * SECOND,  # half of which a busy machine may stand still
    leaf_renewed_at=1 / 2,
    backdated=SECOND,
)


@dataclass
class Wire:
    """An edge, its guard, and somebody who asks the edge all the time."""

    front: Side
    behind: Side
    load: Result

    async def given(self, by: Authority | None = None, bundle: str | None = None) -> None:
        """Both are given certificates by this authority, and who is to be trusted."""
        shown = [workload(by, name) if by else None for name in (EDGE_ID, GUARD_ID)]
        await asyncio.gather(self.front.given(shown[0], bundle), self.behind.given(shown[1], bundle))

    async def more(self, count: int = 100) -> None:
        until = self.load.answered + count
        await eventually(lambda: self.load.answered >= until, what="answers")

    async def shows_it(self) -> bool:
        """Whether the guard is shown what the edge was given last."""
        return await seen(self.front.port) == (EDGE_ID, serial(self.front.pair))


@asynccontextmanager
async def wire(by: Authority) -> AsyncIterator[Wire]:
    async with (
        guard(workload(by, GUARD_ID), by.certificate, requests=REQUESTS) as behind,
        edge(behind.port, workload(by, EDGE_ID), by.certificate) as front,
        load(front.port, connections=4, max_seconds=100) as result,
    ):
        yield Wire(front, behind, result)


async def test_certificates_are_replaced_and_no_request_fails() -> None:
    ours = authority()
    async with wire(ours) as between:
        for _ in range(20):
            await between.given(ours)
            await between.more()
            await eventually(between.shows_it)
    assert between.load.failed == 0, between.load
    assert between.load.answered >= 2000


async def test_authorities_follow_each_other_and_no_request_fails(tmp_path: Path) -> None:
    old = authority()
    async with wire(old) as between:
        for _ in range(5):
            new = authority()
            await between.given(bundle=old.certificate + new.certificate)
            await between.more()
            await between.given(new)
            await between.more()
            await between.given(bundle=new.certificate)
            await between.more()
            await eventually(between.shows_it)
            former = context(False, workload(old, EDGE_ID), new.certificate, tmp_path)
            assert await ask(between.behind.port, former) == b"", "its authority is trusted no more"
            old = new
    assert between.load.failed == 0, between.load
    assert between.load.answered >= 1500


async def test_to_sign_before_all_have_heard_of_the_authority_would_cost_requests() -> None:
    """The order matters: without it the test above could not fail."""
    old, new = authority(), authority()
    async with wire(old) as between:
        await between.more()
        await between.given(new)
        await between.more()
        await between.given(bundle=old.certificate + new.certificate)
    assert between.load.failed > 0


async def test_a_side_that_hears_nothing_for_a_while_is_believed_and_believes() -> None:
    """The guard has the news of neither step until both are done; the edge is given a certificate by the old one."""
    old, new = authority(), authority()
    both = old.certificate + new.certificate
    async with wire(old) as between:
        await between.front.given(workload(old, EDGE_ID), both)
        await between.more()
        await between.behind.given(workload(new, GUARD_ID), both)
        await between.more()
        await between.front.given(workload(new, EDGE_ID))
        await between.more()
    assert between.load.failed == 0, between.load


@dataclass
class Plane:
    """The machine itself, by the real clock and with lives of a few seconds."""

    bundles: list[str] = field(default_factory=list)
    pairs: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rotation = Rotation(
            MemoryVault(),
            title="wire",
            names=(DOMAIN,),
            new_authority=new_workload_authority,
            may_write=lambda: True,
            changed=self.bundles.append,
            policy=FAST,
        )
        self.workloads = Workloads(lambda: self.rotation.authorities, policy=FAST)

    async def tend(self, between: Wire | None = None) -> None:
        await self.rotation.tend()
        found = self.workloads.pairs([EDGE_ID, GUARD_ID], datetime.now(UTC))
        self.pairs |= {pair.certificate for pair in found.values()}
        if between:
            for side, name in ((between.front, EDGE_ID), (between.behind, GUARD_ID)):
                if (side.pair, side.bundle) != (found[name], self.workloads.bundle):
                    side.give(found[name], self.workloads.bundle)


async def test_the_machine_goes_on_by_itself_and_no_request_fails() -> None:
    plane = Plane()
    await plane.tend()
    (first,) = plane.rotation.authorities
    async with wire(first) as between:
        while len(plane.bundles) < 5:  # about six seconds for each
            await plane.tend(between)
            await between.more(1)
        answered = between.load.answered
        handshakes = await between.front.envoy.stat("cluster.cart.ssl.handshake")
    assert between.load.failed == 0, between.load
    assert handshakes > 0.9 * answered / REQUESTS, "the last requests of each connection are still to come"
    assert len(plane.pairs) >= 10
    assert not set(plane.rotation.authorities) & {first}
