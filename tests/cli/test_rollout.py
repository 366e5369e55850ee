"""`edgerun rollout`, as it is typed, against a running `edgerun local`."""

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import Said, typed, until
from support.standalone import Standalone, standalone

pytestmark = pytest.mark.envoy

ONE, TWO, THREE = "app-00001", "app-00002", "app-00003"
APP = """
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {name: app, namespace: shop}
spec:
  rollout: {duration: %(duration)s}
  template:
    spec:
      containers:
      - command: [%(command)s]
        env: [{name: VERSION, value: "%(version)s"}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: web, namespace: shop}
spec:
  rules: [{name: app, origins: [{service: {name: app}}]}]
"""
WORKS, FAILS = "python3, -m, http.server, $(PORT)", "python3, -c, raise SystemExit('no shelf to stand on')"


def app(version: int, *, duration: str = "0s", command: str = WORKS) -> str:
    return APP % {"version": version, "duration": duration, "command": command}


@dataclass(frozen=True, slots=True)
class Rollout:
    """The command, about one instance."""

    instance: Standalone
    captured: pytest.CaptureFixture[str]

    async def __call__(self, action: str, *words: str, name: str = "app", namespace: str = "shop") -> Said:
        where = ("-n", namespace, "-d", str(self.instance.directory))
        return await typed(self.captured, "rollout", action, name, *where, *words)

    async def until(self, text: str) -> Said:
        """The status, as soon as it says that."""
        return await until(functools.partial(self, "status"), text)


@pytest.fixture
async def rollout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Rollout]:
    async with standalone(tmp_path, app(1)) as instance:
        await instance.until("app", kind="OriginService", namespace="shop")
        yield Rollout(instance, capsys)


async def test_status_shows_the_only_revision(rollout: Rollout) -> None:
    said = await rollout.until(f"{ONE} has all requests")
    assert said.code == 0
    header, row = said.out.splitlines()[:2]
    assert header.split() == ["REVISION", "PERCENT", "TAG", "REPLICAS", "AGE", "STATE"]
    assert row.split()[:5] == [ONE, "100", "%", "-", "1/1"]
    assert row.endswith("serving")
    assert "\033" not in said.out, "colours are for terminals"


async def test_a_rollout_that_is_under_way_is_promoted(rollout: Rollout) -> None:
    rollout.instance.write(app(2, duration="30m"))
    said = await rollout.until(f"{TWO} has 1 of 100 %")
    assert f"{ONE}   99 %" in said.out
    promoted = await rollout("promote")
    assert (promoted.code, promoted.out.strip()) == (
        0,
        f"{TWO} is to get all requests of shop/app that are for the latest revision now",
    )
    assert (await rollout.until(f"{TWO} has all requests")).code == 0
    again = await rollout("promote")
    assert (again.code, "nothing is to be done" in again.out) == (0, True)


async def test_who_watches_sees_each_step_and_the_end(rollout: Rollout) -> None:
    rollout.instance.write(app(2, duration="4s"))
    await rollout.until(f"{TWO} has ")
    said = await rollout("status", "--watch")
    assert said.code == 0, said
    assert said.out.splitlines()[-1] == f"{TWO} has all requests"


async def test_who_watches_for_too_short_a_time_is_told_so(rollout: Rollout) -> None:
    rollout.instance.write(app(2, duration="30m"))
    await rollout.until(f"{TWO} has 1 of 100 %")
    said = await rollout("status", "--watch", "--timeout", "0.1")
    assert (said.code, said.err.startswith(f"not within 0.1 s: {TWO} has 1 of 100 %")) == (1, True)


async def test_undo_gives_the_requests_back_and_promote_by_name_takes_them_again(rollout: Rollout) -> None:
    rollout.instance.write(app(2, duration="30m"))
    await rollout.until(f"{TWO} has 1 of 100 %")
    undone = await rollout("undo")
    assert (undone.code, undone.out.startswith(f"{TWO} is to get no requests any more; {ONE} takes them back")) == (
        0,
        True,
    )
    said = await rollout.until(f"! {TWO} was rolled back: it was undone by hand; {ONE} serves instead")
    assert said.code == 1
    assert "rolled back: it was undone by hand" in said.out.splitlines()[1]
    refused = await rollout("promote")
    assert (refused.code, f"name it: --revision {TWO}" in refused.err) == (2, True)
    assert (await rollout("promote", "--revision", TWO)).code == 0
    assert (await rollout.until(f"{TWO} has all requests")).code == 0
    rollout.instance.write(app(3))
    await rollout.until(f"{THREE} has all requests")


async def test_undo_of_one_that_has_all_starts_the_one_before_first(rollout: Rollout) -> None:
    rollout.instance.write(app(2))
    await rollout.until(f"{TWO} has all requests")
    said = await rollout("undo")
    assert said.code == 0, said.err
    assert f"{ONE} takes them back" in said.out
    await rollout.until(f"! {TWO} was rolled back")
    assert (await rollout.instance.get("/")).status == 200


async def test_one_that_fails_is_told_with_its_last_words(rollout: Rollout) -> None:
    rollout.instance.write(app(2, command=FAILS))
    await rollout.until("no shelf to stand on")
    said = await rollout("status", "--watch")
    assert said.code == 1
    assert said.out.splitlines()[-1].endswith(f"no shelf to stand on; {ONE} keeps its requests")
    refused = await rollout("promote", "--revision", TWO)
    assert refused.code == 2
    assert f"{TWO} cannot be promoted, for it has failed: CrashLoopBackOff" in refused.err
    undone = await rollout("undo")
    assert undone.out.startswith(f"{TWO} is to get no requests, also when it becomes ready; {ONE} keeps them")
    await rollout.until(f"! {TWO} was rolled back")


async def test_what_is_written_is_left_to_its_user(rollout: Rollout) -> None:
    rollout.instance.write(app(2))
    await rollout.until(f"{TWO} has all requests")
    said = await rollout("undo", "--to", ONE)
    assert said.code == 2
    assert "all.yaml:2 is yours to edit; write into the spec of shop/app:" in said.err
    assert f"- {{revisionName: {ONE}, percent: 100}}" in said.err
    assert (await rollout("status")).code == 0


async def test_what_there_is_not_is_told_with_what_there_is(rollout: Rollout) -> None:
    said = await rollout("status", namespace="default")
    assert (said.code, said.err) == (
        2,
        "edgerun: there is no OriginService default/app; there are: shop/app. Name its namespace with --namespace\n",
    )
    said = await rollout("promote", "--revision", THREE)
    assert (said.code, said.err) == (2, f"edgerun: shop/app has no revision '{THREE}'; there are: {ONE}\n")
    said = await rollout("undo")
    assert (said.code, "there is no older revision to take them back" in said.err) == (2, True)


async def test_a_folder_that_nobody_serves_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = await typed(capsys, "rollout", "status", "app", "-d", str(tmp_path))
    assert (said.code, f"no `edgerun local` is running on {tmp_path}" in said.err) == (2, True)
