from edgerun.translate.revisions.latest import latest_ready
from edgerun.translate.revisions.revision import Revisions
from support.revisions import FAILED, STARTING, revision, revisions


def ready(there: Revisions, before: str, created: str = "") -> str:
    newest = there[created] if created else [*there.values()][-1]
    return latest_ready(there, created=newest, before=before)


def test_the_first_one_that_is_ready_is_the_latest_ready_one() -> None:
    assert ready(revisions(revision("cart-00001", phase=STARTING)), "") == ""
    assert ready(revisions("cart-00001"), "") == "cart-00001"


def test_a_newer_one_takes_over_when_it_is_ready_and_a_failed_one_is_skipped() -> None:
    there = revisions("cart-00001", "cart-00002", revision("cart-00003", phase=FAILED))
    assert ready(there, "cart-00001") == "cart-00002"


def test_it_stays_when_it_fails_later_though_an_older_one_is_ready() -> None:
    there = revisions("cart-00001", revision("cart-00002", phase=FAILED, proven=True))
    assert ready(there, "cart-00002") == "cart-00002"


def test_a_deleted_one_has_the_newest_ready_one_as_its_successor() -> None:
    there = revisions("cart-00001", "cart-00002", revision("cart-00004", phase=STARTING))
    assert ready(there, "cart-00003") == "cart-00002"


def test_without_one_that_is_ready_the_successor_is_one_that_was() -> None:
    there = revisions(revision("cart-00001", phase=STARTING, proven=True), revision("cart-00002", phase=FAILED))
    assert ready(there, "cart-00003") == "cart-00001"


def test_it_goes_back_when_the_user_asks_for_an_older_one_by_its_name() -> None:
    there = revisions(revision("cart-blue", number=1), revision("cart-green", number=2))
    assert ready(there, "cart-green", created="cart-blue") == "cart-blue"


def test_an_older_one_that_is_asked_for_and_not_ready_is_waited_for() -> None:
    there = revisions(revision("cart-blue", number=1, phase=STARTING), revision("cart-green", number=2))
    assert ready(there, "cart-green", created="cart-blue") == "cart-green"


def test_one_that_was_asked_for_by_name_stays_though_a_newer_one_is_ready() -> None:
    there = revisions(revision("cart-blue", number=1, phase=STARTING, proven=True), revision("cart-green", number=2))
    assert ready(there, "cart-blue", created="cart-blue") == "cart-blue"
