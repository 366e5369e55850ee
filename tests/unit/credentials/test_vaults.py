"""A vault in memory does as a Secret does."""

import asyncio

import pytest

from edgerun.credentials.certificates import new_workload_authority
from edgerun.credentials.rotation import Rotation
from edgerun.credentials.vaults import MemoryVault
from edgerun.credentials.workloads import POLICY, Workloads
from edgerun.errors import ConflictError, NotFoundError
from support.authorities import START, Clocks


async def test_what_is_written_is_read() -> None:
    vault = MemoryVault()
    assert await vault.read() is None
    await vault.write({"a": b"1"}, "")
    found = await vault.read()
    assert found
    assert found[0] == {"a": b"1"}
    await vault.write({"b": b"2"}, found[1])
    again = await vault.read()
    assert again
    assert again[0] == {"b": b"2"}


async def test_only_the_version_that_was_read_is_replaced() -> None:
    vault = MemoryVault()
    with pytest.raises(NotFoundError):
        await vault.write({}, "1")
    await vault.write({"a": b"1"}, "")
    found = await vault.read()
    assert found
    await vault.write({"a": b"2"}, found[1])
    for version in ("", found[1]):
        with pytest.raises(ConflictError):
            await vault.write({"a": b"3"}, version)


async def test_whoever_listens_hears_of_what_was_written_before_and_after() -> None:
    vault = MemoryVault()
    await vault.write({}, "")
    changes = vault.changes()
    await anext(changes)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    assert not waiting.done()
    await vault.write({"a": b"1"}, "1")
    await waiting


async def test_authorities_are_kept_in_it() -> None:
    clocks, told = Clocks(), list[str]()
    rotation = Rotation(
        MemoryVault(),
        title="wire",
        names=("edgerun.local",),
        new_authority=new_workload_authority,
        may_write=lambda: True,
        changed=told.append,
        policy=POLICY,
        clock=clocks.now,
        elapsed=clocks.elapsed,
    )
    workloads = Workloads(lambda: rotation.authorities)
    assert workloads.pairs(["spiffe://edgerun.local/edge/default"], START) == {}
    await rotation.tend()
    await rotation.ready()
    await rotation.tend()
    assert told == [rotation.bundle] == [workloads.bundle]
    assert set(workloads.pairs(["spiffe://edgerun.local/edge/default"], START)) == {
        "spiffe://edgerun.local/edge/default"
    }
    assert set(rotation.expiries) == {"wire-authority"}
