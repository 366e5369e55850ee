"""The versions of what templates read are asked for while this replica leads, seldom, and told when they are others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.errors import ApiError, ForbiddenError, UnavailableError
from edgerun.sources.references import JITTER, PERIOD_S, References
from edgerun.translate.world import Referred
from support.working import at_work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SECRETS = ObjectKey("Secret", "shop", "")
MAPS = ObjectKey("ConfigMap", "shop", "")
SOON_S = 0.1
NEXT_S = PERIOD_S * (1 + JITTER) + SOON_S
FORBIDDEN = ForbiddenError("no", status=403)


class House:
    """An API server, and what is told of it."""

    def __init__(self) -> None:
        self.versions: dict[ObjectKey, dict[str, str]] = {SECRETS: {"db": "7", "other": "1"}, MAPS: {}}
        self.errors: dict[ObjectKey, ApiError] = {}
        self.asked: list[tuple[str, bool]] = []
        self.listed = 100  # the version of the next list
        self.told: list[Referred] = []
        self.leads = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.leads.set()
        self.references = References(self.list, self.told.append)

    async def list(self, kind: str, *, namespace: str, fresh: bool) -> tuple[Mapping[str, str], str]:
        self.asked.append((kind, fresh))
        key = ObjectKey(kind, namespace, "")
        await self.answers.wait()
        if key in self.errors:
            raise self.errors[key]
        return dict(self.versions[key]), str(self.listed)

    async def wait(self) -> None:
        await self.leads.wait()

    def want(self, *names: str, key: ObjectKey = SECRETS) -> None:
        self.references.want({key: frozenset(names)} if names else {})

    @property
    def known(self) -> Mapping[ObjectKey, str]:
        return self.told[-1].versions


@asynccontextmanager
async def house(*names: str) -> AsyncIterator[House]:
    it = House()
    it.want(*names)
    async with at_work(it.references.run(it.wait), "references"):
        await asyncio.sleep(SOON_S)
        yield it


def secret(name: str) -> ObjectKey:
    return ObjectKey("Secret", "shop", name)


async def test_what_is_there_and_what_is_not_is_told_and_nothing_else() -> None:
    async with house("db", "none") as it:
        assert it.known == {secret("db"): "7", secret("none"): ""}


async def test_nothing_is_asked_while_nobody_wants_anything() -> None:
    async with house() as it:
        await asyncio.sleep(10 * PERIOD_S)
        assert it.asked == []


async def test_every_kind_and_namespace_is_asked_once_in_a_period_and_the_first_time_freshly() -> None:
    async with house("db") as it:
        it.references.want({SECRETS: frozenset({"db"}), MAPS: frozenset({"a"})})
        await asyncio.sleep(10 * PERIOD_S)
        assert 18 <= len(it.asked) <= 24
        for kind in ("Secret", "ConfigMap"):
            first, *others = (fresh for asked, fresh in it.asked if asked == kind)
            assert first
            assert not any(others)


async def test_the_memory_of_a_server_that_lags_behind_is_not_told() -> None:
    async with house("db") as it:
        it.listed, it.versions[SECRETS]["db"] = 99, "6"
        await asyncio.sleep(NEXT_S)
        assert it.known == {secret("db"): "7"}
        it.listed, it.versions[SECRETS]["db"] = 101, "8"
        await asyncio.sleep(NEXT_S)
        assert it.asked[-1] == ("Secret", True)
        assert it.known == {secret("db"): "8"}


async def test_a_server_that_was_restored_from_a_backup_is_believed() -> None:
    async with house("db") as it:
        it.listed, it.versions[SECRETS]["db"] = 50, "5"
        await asyncio.sleep(2 * NEXT_S)
        assert it.known == {secret("db"): "5"}
        await asyncio.sleep(NEXT_S)
        assert it.asked[-1] == ("Secret", False)


async def test_a_change_is_told_within_a_period_and_the_same_again_is_not() -> None:
    async with house("db") as it:
        told = len(it.told)
        await asyncio.sleep(5 * PERIOD_S)
        assert len(it.told) == told
        it.versions[SECRETS]["db"] = "8"
        await asyncio.sleep(NEXT_S)
        assert it.known == {secret("db"): "8"}
        it.versions[SECRETS]["other"] = "9"
        await asyncio.sleep(NEXT_S)
        assert len(it.told) == told + 1


async def test_a_new_name_is_looked_for_at_once_and_a_name_that_nobody_wants_is_forgotten() -> None:
    async with house("db") as it:
        it.want("db", "other")
        assert secret("other") not in it.known
        await asyncio.sleep(SOON_S)
        assert it.known == {secret("db"): "7", secret("other"): "1"}
        it.want("other")
        assert it.known == {secret("other"): "1"}
        it.want()
        assert it.known == {}


async def test_a_namespace_in_which_something_changed_is_looked_at_at_once() -> None:
    async with house("db") as it:
        it.versions[SECRETS]["db"] = "8"
        it.references.hasten("elsewhere")
        await asyncio.sleep(SOON_S)
        assert it.known == {secret("db"): "7"}
        it.references.hasten("shop")
        await asyncio.sleep(SOON_S)
        assert it.known == {secret("db"): "8"}
        assert it.asked[-1] == ("Secret", True)


async def test_without_the_right_the_last_versions_stay_and_it_heals_with_the_right() -> None:
    async with house("db") as it:
        it.errors[SECRETS] = FORBIDDEN
        it.versions[SECRETS]["db"] = "8"
        await asyncio.sleep(NEXT_S)
        assert it.told[-1] == Referred({secret("db"): "7"}, {SECRETS: "no"})
        told = len(it.told)
        await asyncio.sleep(5 * PERIOD_S)
        assert len(it.told) == told
        del it.errors[SECRETS]
        await asyncio.sleep(NEXT_S)
        assert it.told[-1] == Referred({secret("db"): "8"})


async def test_the_right_on_one_kind_alone_shows_that_kind() -> None:
    async with house("db") as it:
        it.errors[MAPS] = FORBIDDEN
        it.references.want({SECRETS: frozenset({"db"}), MAPS: frozenset({"a"})})
        await asyncio.sleep(SOON_S)
        assert it.told[-1] == Referred({secret("db"): "7"}, {MAPS: "no"})


@pytest.mark.parametrize("error", [UnavailableError("away"), ForbiddenError("who?", status=401)])
async def test_a_server_that_is_away_takes_nothing_back_and_is_told_of_once(
    error: ApiError, caplog: pytest.LogCaptureFixture
) -> None:
    async with house("db") as it:
        it.errors[SECRETS] = error
        told = len(it.told)
        await asyncio.sleep(5 * PERIOD_S)
        assert len(it.told) == told
        assert [record.message for record in caplog.records] == [f"references cannot be looked at: {error}"]
        assert it.asked[-1] == ("Secret", True)


async def test_who_leads_no_longer_knows_nothing_and_asks_at_once_when_it_leads_again() -> None:
    async with house("db") as it:
        it.leads.clear()
        it.references.forget()
        assert it.told[-1] == Referred()
        asked = len(it.asked)
        await asyncio.sleep(5 * PERIOD_S)
        assert len(it.asked) == asked
        it.leads.set()
        await asyncio.sleep(SOON_S)
        assert it.known == {secret("db"): "7"}
        assert it.asked[-1] == ("Secret", True)


async def test_an_answer_to_what_was_asked_while_leading_is_not_told_later() -> None:
    async with house("db") as it:
        it.answers.clear()
        it.references.hasten("shop")
        await asyncio.sleep(SOON_S)
        it.leads.clear()
        it.references.forget()
        it.answers.set()
        await asyncio.sleep(SOON_S)
        assert it.told[-1] == Referred()
