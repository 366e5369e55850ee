"""A guard in front of every process of a guarded origin: it comes with it, and goes with it."""

import asyncio
import os
import signal
import ssl
import sys

import pytest

from edgerun.api.originservice import Guarding, OriginService
from edgerun.infra.local import guards, ports
from edgerun.infra.local.launch import Launch
from edgerun.infra.local.probes import Look, Target, look
from edgerun.infra.local.process import Process
from edgerun.translate.phases import OriginPhase
from local.harness import CART, SECOND, SERVER, House, ask, origin, revision, steadily
from support.poll import eventually

pytestmark = pytest.mark.envoy


def guarded(script: str = SERVER, word: str = "hello") -> OriginService:
    return origin(script, env={"GREETING": word}, guard=Guarding.ENABLED)


def envoys(house: House) -> set[int]:
    return {pid for pid in house.pids() if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "envoy"}


@pytest.fixture
def edge(house: House) -> ssl.SSLContext:
    """The guards of shop/cart know whom to let in, and it is this one."""
    house.gate.open(CART)
    return house.gate.edge()


async def test_the_endpoint_of_a_guarded_origin_is_its_guard(house: House, edge: ssl.SSLContext) -> None:
    house.apply(guarded())
    (endpoint,) = (await house.until_ready()).endpoints
    assert (endpoint.address, endpoint.guarded) == ("127.0.0.1", True)
    assert await ask(endpoint.port, tls=edge) == "hello"
    assert len(envoys(house)) == 1
    await eventually(lambda: house.gate.entries)
    ((name, entry),) = house.gate.entries
    assert (name, entry["path"], entry["status"]) == ("shop/cart-00001", "/", 200)


async def test_whoever_is_no_edge_does_not_reach_the_process_through_its_guard(
    house: House, edge: ssl.SSLContext
) -> None:
    house.apply(guarded())
    (endpoint,) = (await house.until_ready()).endpoints
    stranger = ssl.create_default_context(cadata=house.gate.workloads.bundle)
    stranger.check_hostname = False
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask(endpoint.port, tls=stranger)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await ask(endpoint.port)
    assert not house.gate.entries


async def test_an_origin_without_a_guard_is_asked_itself(house: House) -> None:
    house.apply(origin())
    (endpoint,) = (await house.until_ready()).endpoints
    assert not endpoint.guarded
    assert not envoys(house)


async def test_an_origin_is_ready_only_when_its_guard_listens_too(house: House) -> None:
    house.apply(guarded())
    await eventually(lambda: envoys(house))
    await steadily(lambda: not (seen := house.observed()) or not seen.endpoints, for_s=1)
    house.gate.open(CART)
    await house.until_ready()


async def test_a_guard_waits_for_a_process_that_takes_its_time(house: House, edge: ssl.SSLContext) -> None:
    house.apply(guarded("import time; time.sleep(1)\n" + SERVER))
    await eventually(lambda: len(envoys(house)) == 1)
    assert not (seen := house.observed()) or not seen.endpoints
    assert await ask((await house.until_ready()).endpoints[0].port, tls=edge) == "hello"


async def test_a_guard_that_is_killed_is_replaced_and_the_process_behind_it_stays(
    house: House, edge: ssl.SSLContext
) -> None:
    house.apply(guarded())
    first, (pid,) = (await house.until_ready()).endpoints[0], envoys(house)
    apps = house.pids() - {pid}
    os.kill(pid, signal.SIGKILL)
    seen = await house.until_reason("GuardNotListening")
    assert (seen.phase, seen.endpoints) == (OriginPhase.STARTING, ())
    assert seen.message == "the guard ended: killed by SIGKILL"
    second = (await house.until_ready()).endpoints[0]
    assert second.port != first.port
    assert await ask(second.port, tls=edge) == "hello"
    assert apps < house.pids()
    assert house.lines("shop/cart-00001 guard") == ["the guard ended: killed by SIGKILL; it is started again"]


async def test_a_guard_that_does_not_listen_in_time_is_replaced(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "LISTENS_WITHIN_S", 0.3)
    house.apply(guarded())
    seen = await house.until_reason("GuardNotListening")
    assert seen.message.startswith("the guard does not listen on port ")
    monkeypatch.setattr(guards, "LISTENS_WITHIN_S", 10.0)
    house.gate.open(CART)
    await house.until_ready()
    assert len(envoys(house)) == 1


async def test_a_guard_whose_port_is_taken_gets_another(
    house: House, edge: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as stranger:
        taken, draw = stranger.sockets[0].getsockname()[1], ports.origin_port
        drawn = [taken]
        monkeypatch.setattr(guards.ports, "origin_port", lambda busy: drawn.pop() if drawn and busy else draw(busy))
        house.apply(guarded())
        (endpoint,) = (await house.until_ready()).endpoints
        assert not drawn
        assert await ask(endpoint.port, tls=edge) == "hello"


async def test_a_process_that_is_gone_hides_no_socket(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as stranger:
        gone = Process("gone", leash=house.leash, out=print, err=print)
        await gone.start(Launch((sys.executable, "-c", ""), env=dict(os.environ), cwd=house.directory))
        await gone.exited
        await gone.end(grace_s=0)
        monkeypatch.setattr(gone, "members", lambda: {gone.pid})  # as it was seen a moment ago
        where = Target(stranger.sockets[0].getsockname()[1], None, timeout_s=60)
        assert await look(where, gone) is Look.STRANGER


async def test_a_process_that_crashes_gets_another_guard_with_its_next_life(house: House, edge: ssl.SSLContext) -> None:
    house.apply(guarded())
    first = (await house.until_ready()).endpoints[0]
    assert await ask(first.port, "/quit", tls=edge) == "bye", "a guard passes on the last words of its process"
    await house.until_reason("CrashLoopBackOff")
    second = (await house.until(lambda seen: bool(seen.endpoints))).endpoints[0]
    assert await ask(second.port, tls=edge) == "hello"
    assert len(envoys(house)) == 1


async def test_the_guard_of_a_removed_revision_stays_until_its_requests_are_done(
    house: House, edge: ssl.SSLContext
) -> None:
    house.apply(guarded())
    old = (await house.until_ready()).endpoints[0]
    reader, writer = await asyncio.open_connection("127.0.0.1", old.port, ssl=edge)
    house.apply(revision(guarded()), revision(guarded(word="two"), 2))
    new = (await house.until_ready(SECOND)).endpoints[0]
    house.apply(revision(guarded(word="two"), 2))
    await eventually(lambda: house.observed() is None)
    assert await ask(new.port, tls=edge) == "two"
    for _ in range(5):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    assert len(envoys(house)) == 2
    writer.close()
    await eventually(lambda: len(house.pids()) == 2)


async def test_without_a_replica_there_is_no_guard_and_with_the_next_one_there_is(
    house: House, edge: ssl.SSLContext
) -> None:
    house.apply(guarded(), replicas=0)
    await house.until(lambda seen: seen.replicas == 0)
    for _ in range(2):
        house.apply(guarded(), replicas=2)
        seen = await house.until_ready(replicas=2)
        assert [await ask(endpoint.port, tls=edge) for endpoint in seen.endpoints] == ["hello"] * 2
        assert len(envoys(house)) == 2
        house.apply(guarded(), replicas=0)
        await eventually(lambda: not house.pids())


async def test_a_guard_that_is_switched_on_or_off_replaces_the_replicas_one_by_one(
    house: House, edge: ssl.SSLContext
) -> None:
    for guarding in (Guarding.DISABLED, Guarding.ENABLED, Guarding.DISABLED):
        told = len(house.history)
        house.apply(origin(guard=guarding), replicas=3)
        await until_all_have_guards(house, 3, yes=guarding is Guarding.ENABLED)
        sizes = {len(seen.endpoints) for _, seen in house.history[told:] if seen}
        assert told == 0 or sizes == {3}, "never too few, and never too many"


async def until_all_have_guards(house: House, replicas: int, *, yes: bool) -> None:
    """Or none of them has."""
    await house.until(lambda seen: [one.guarded for one in seen.endpoints] == [yes] * replicas)
    await eventually(lambda: len(envoys(house)) == replicas * yes)
    await eventually(lambda: len(house.pids()) == replicas * (1 + yes))


async def test_a_guard_that_does_not_come_takes_no_replica_of_those_without(house: House) -> None:
    house.apply(origin())
    before = await house.until_ready()
    house.apply(guarded())
    await eventually(lambda: envoys(house))
    await steadily(lambda: bool((seen := house.observed()) and seen.endpoints == before.endpoints))
    house.apply(origin())
    await eventually(lambda: len(house.pids()) == 1)
    assert (await house.until_ready()).endpoints == before.endpoints


async def test_nothing_is_left_of_an_origin_that_is_removed(house: House, edge: ssl.SSLContext) -> None:
    house.apply(guarded())
    await house.until_ready()
    house.apply()
    await eventually(lambda: not house.pids())
    await eventually(lambda: not list(house.directory.glob("g*")))
