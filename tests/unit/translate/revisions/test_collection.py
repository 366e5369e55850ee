from datetime import timedelta

from edgerun.translate.revisions.collection import Retention, collectable
from edgerun.translate.revisions.revision import Revision, Revisions, by_name
from support.revisions import START, revision

HOUR = timedelta(hours=1)
NONE_KEPT = Retention(least=0)


def aged(number: int, *, hours: float = 100, idle: float | None = None, kept: bool = False) -> Revision:
    """Made and last used so many hours ago; without `idle` it was never used."""
    last = START - idle * HOUR if idle is not None else None
    return revision(f"cart-{number:05}", created=START - hours * HOUR, last_active=last, kept=kept)


def found(*there: Revision, used: tuple[str, ...] = (), rules: Retention = NONE_KEPT) -> list[str]:
    return [name[-2:] for name in collectable(by_name(there), used=used, now=START, rules=rules)]


def many(count: int, hours: float = 100) -> Revisions:
    return by_name(aged(number, hours=hours, idle=50) for number in range(1, count + 1))


def test_what_is_in_use_or_kept_by_its_user_stays() -> None:
    assert found(aged(1), aged(2, kept=True), aged(3), used=("cart-00001",)) == ["03"]


def test_what_was_made_within_48_hours_stays() -> None:
    assert found(aged(1, hours=48), aged(2, hours=47.9)) == ["01"]


def test_what_was_used_within_15_hours_stays() -> None:
    assert found(aged(1, idle=15), aged(2, idle=14.9)) == ["01"]


def test_who_was_used_longest_ago_goes_first() -> None:
    assert found(aged(1, idle=20), aged(2, idle=30), aged(3, hours=60)) == ["03", "02", "01"]


def test_the_last_20_stay_whatever_their_age() -> None:
    assert collectable(many(20), used=(), now=START) == ()
    assert collectable(many(22), used=(), now=START) == ("cart-00001", "cart-00002")


def test_what_is_in_use_does_not_count_among_the_20() -> None:
    assert collectable(many(22), used=("cart-00001", "cart-00002"), now=START) == ()


def test_more_than_1000_there_never_are() -> None:
    assert len(collectable(many(1_005, hours=1), used=(), now=START)) == 5


def test_each_limit_can_be_switched_off() -> None:
    young, used = aged(1, hours=1), aged(2, idle=1)
    assert found(young, used, rules=Retention(least=0, since_created=None, since_active=HOUR)) == ["01", "02"]
    assert found(young, used, rules=Retention(least=0, since_active=None)) == ["02"]
    assert found(young, aged(3), rules=Retention(least=0, since_created=None, since_active=None)) == []
    assert found(aged(1), aged(2), rules=Retention(least=5, most=None)) == []
    assert found(aged(1), aged(2), rules=Retention(least=5, most=1)) == ["01"]
