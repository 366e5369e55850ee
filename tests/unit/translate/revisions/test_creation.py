from typing import Any

import pytest

from edgerun.api.templates import Template
from edgerun.translate.revisions.creation import Current, Wanted, current, highest
from edgerun.translate.revisions.revision import Revisions, changed_fields, same
from support.revisions import SERVICE, START, revision, revisions, template


def found(there: Revisions, wanted: Template | str, name: str = "", **others: Any) -> Current:
    made = template(wanted) if isinstance(wanted, str) else wanted
    return current(Wanted(service=SERVICE, template=made, name=name), there, now=START, **others)


def made(there: Revisions, wanted: Template | str, name: str = "", **others: Any) -> tuple[str, int]:
    """Name and number of the new revision."""
    answer = found(there, wanted, name, **others)
    assert answer.new
    assert answer.revision
    assert not answer.problems
    return answer.revision.name, answer.revision.number


def said(answer: Current) -> str:
    assert not answer.new
    (problem,) = answer.problems
    return str(problem)


def test_the_first_template_is_the_first_revision() -> None:
    assert made({}, "one") == ("cart-00001", 1)


def test_the_template_of_the_newest_revision_is_no_new_one() -> None:
    there = revisions(revision("cart-00001", image="one"))
    assert found(there, "one") == Current(there["cart-00001"])


def test_a_template_that_changes_back_is_a_new_revision() -> None:
    there = revisions(revision("cart-00001", image="one"), revision("cart-00002", image="two"))
    assert made(there, "one") == ("cart-00003", 3)


def test_a_number_is_not_given_out_again_when_its_revision_is_gone() -> None:
    there = revisions("cart-00003")
    assert made(there, "new", remembered=7) == ("cart-00008", 8)


def test_looking_again_before_the_revision_shows_up_makes_the_very_same_one() -> None:
    there = revisions("cart-00003")
    assert found(there, "new", remembered=3) == found(there, "new", remembered=3)


def test_whoever_comes_after_the_write_finds_the_revision_and_makes_none() -> None:
    there = revisions("cart-00003")
    answer = found(there, "new")
    assert answer.revision
    for remembered in (0, 3, 4):
        assert not found(revisions(*there, answer.revision), "new", remembered=remembered).new


def test_a_name_that_another_service_has_is_passed_over() -> None:
    assert made({}, "one", taken={"cart-00001", "cart-00002"}) == ("cart-00003", 3)


def test_a_revision_is_called_what_the_user_says() -> None:
    there = revisions("cart-00003")
    assert made(there, "new", "cart-blue") == ("cart-blue", 4)


def test_a_given_name_that_looks_like_a_number_takes_it() -> None:
    assert made(revisions("cart-00003"), "new", "cart-00010") == ("cart-00010", 10)
    assert made(revisions("cart-00010"), "newer") == ("cart-00011", 11)


def test_leaving_the_name_away_again_is_a_new_revision_of_the_same_template() -> None:
    there = revisions(revision("cart-blue", number=4, image="one"))
    assert made(there, "one") == ("cart-00005", 5)


def test_a_new_name_is_a_new_revision_of_the_same_template() -> None:
    there = revisions(revision("cart-blue", number=4, image="one"))
    assert made(there, "one", "cart-green") == ("cart-green", 5)


def test_a_name_of_old_with_its_template_is_that_revision_again() -> None:
    there = revisions(revision("cart-blue", number=4, image="one"), revision("cart-green", number=5, image="two"))
    assert found(there, "one", "cart-blue") == Current(there["cart-blue"])


def test_a_change_under_an_unchanged_name_is_refused_with_the_fields_and_without_values() -> None:
    there = revisions(revision("cart-blue", number=4, template=template("one", env=[{"name": "A", "value": "hush"}])))
    changed = template("two", env=[{"name": "A", "value": "secret"}])
    answer = found(there, changed, "cart-blue", before="cart-blue")
    assert answer.revision is there["cart-blue"]
    assert said(answer) == (
        "spec.template.metadata.name: saw the following changes without a name change: "
        "spec.template.spec.containers[0].env[0].value, spec.template.spec.containers[0].image; "
        "a revision never changes, so give another name, or none"
    )


def test_a_mistake_leaves_the_current_revision_whatever_is_newer() -> None:
    there = revisions(revision("cart-blue", number=4, image="one"), revision("cart-00005", image="two"))
    for name in ("cart-blue", "blue", "cart-00002"):
        assert found(there, "three", name, before="cart-blue", remembered=5).revision is there["cart-blue"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cart-green", 'revision "cart-green" is there already, of another template'),
        ("cart-theirs", 'revision "cart-theirs" is that of another OriginService; give another name, or none'),
        ("cart-00002", '"cart-00002" is the name of a revision that is gone; the next one is cart-00008'),
        ("cart-00007", '"cart-00007" is the name of a revision that is gone; the next one is cart-00008'),
        ("green", '"green" must have prefix "cart-"'),
    ],
)
def test_a_name_that_cannot_be_had_is_told_with_the_way_out(name: str, words: str) -> None:
    there = revisions(revision("cart-green", number=4, image="one"), revision("cart-blue", number=5, image="two"))
    answer = found(there, "three", name, before="cart-blue", taken={"cart-theirs"}, remembered=7)
    assert words in said(answer)


def test_the_highest_number_is_what_was_seen_or_remembered_or_spelled() -> None:
    assert highest(SERVICE, {}, 0) == 0
    assert highest(SERVICE, revisions("cart-00003"), 2) == 3
    assert highest(SERVICE, revisions("cart-00003"), 9) == 9
    assert highest(SERVICE, revisions(revision("cart-00012", number=4)), 0) == 12


def test_the_order_of_labels_makes_no_revision_and_that_of_variables_does() -> None:
    assert same(template(labels={"a": "1", "b": "2"}), template(labels={"b": "2", "a": "1"}))
    one, other = [{"name": "A"}, {"name": "B"}], [{"name": "B"}, {"name": "A"}]
    assert not same(template(env=one), template(env=other))


def test_a_label_an_annotation_and_a_truth_that_becomes_a_number_are_changes() -> None:
    assert not same(template(), template(labels={"a": "1"}))
    assert not same(template(resources={"a": True}), template(resources={"a": 1}))


def test_what_is_spelled_out_as_it_would_be_by_itself_is_no_change() -> None:
    assert same(template(), template(name="app", env=[], readinessProbe={}))
    assert changed_fields(template(), template(name="app")) == ()


def test_a_list_that_becomes_longer_is_named_as_a_whole() -> None:
    longer = template(env=[{"name": "A"}, {"name": "B"}])
    assert changed_fields(template(env=[{"name": "A"}]), longer) == ("spec.template.spec.containers[0].env",)
