import pytest

from edgerun.translate.revisions.replicas import Duties, Need, Role, needs
from edgerun.translate.revisions.revision import Revision
from support.revisions import FAILED, STARTING, revision, revisions

NAME = "cart-00001"
READY, NEW = revision(NAME), revision(NAME, phase=STARTING)


def need(one: Revision, duties: Duties, min_scale: int = 3) -> Need:
    (found,) = needs(revisions(one), duties, min_scale=min_scale)
    return found


@pytest.mark.parametrize(
    ("one", "duties", "want"),
    [
        (READY, Duties(weighted={NAME}, tagged={NAME}), Need(NAME, Role.ROUTED, 3, True)),
        (READY, Duties(draining={NAME}), Need(NAME, Role.DRAINING, 3, True)),
        (READY, Duties(lingering={NAME}, reserve={NAME}), Need(NAME, Role.LINGERING, 3, True)),
        (READY, Duties(draining={NAME}, lingering={NAME}), Need(NAME, Role.DRAINING, 3, True)),
        (READY, Duties(reserve={NAME}), Need(NAME, Role.RESERVE, 3, False)),
        (READY, Duties(awaited={NAME}), Need(NAME, Role.STARTING, 3, False)),
        (READY, Duties(tagged={NAME}), Need(NAME, Role.TAGGED, 1, True)),
        (READY, Duties(newest=NAME), Need(NAME, Role.IDLE, 0, False)),
        (NEW, Duties(newest=NAME), Need(NAME, Role.STARTING, 3, False)),
        (NEW, Duties(), Need(NAME, Role.IDLE, 0, False)),
        (revision(NAME, phase=FAILED), Duties(newest=NAME), Need(NAME, Role.STARTING, 1, False)),
    ],
)
def test_what_a_revision_does_says_how_many_replicas_it_needs(one: Revision, duties: Duties, want: Need) -> None:
    assert need(one, duties) == want


def test_where_nothing_is_to_be_kept_one_shows_that_a_new_revision_works() -> None:
    assert need(NEW, Duties(newest=NAME), min_scale=0).least == 1
    assert need(READY, Duties(weighted={NAME}), min_scale=0).least == 0
    assert need(READY, Duties(tagged={NAME}), min_scale=0).least == 0
