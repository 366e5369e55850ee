import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.translate.revisions.naming import MAX_NAME, name_problems, number_of, numbered

SERVICES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


def test_a_revision_is_called_after_its_service_and_its_number() -> None:
    assert numbered("cart", 4) == "cart-00004"
    assert numbered("cart", 123_456) == "cart-123456"


@settings(max_examples=50, deadline=None)
@given(SERVICES, st.integers(1, 999_999_999))
def test_a_number_can_be_read_from_every_name_that_was_made_of_one(service: str, number: int) -> None:
    name = numbered(service, number)
    assert len(name) <= MAX_NAME
    assert number_of(service, name) == number
    assert number_of(f"{service}x"[-63:], name) is None


def test_long_services_that_begin_alike_have_revisions_of_different_names() -> None:
    one, other = "a" * 62 + "b", "a" * 62 + "c"
    assert numbered(one, 1) != numbered(other, 1)
    assert len(numbered(one, 1)) == MAX_NAME


@pytest.mark.parametrize(
    "name", ["cart-1", "cart-000004", "cart-blue", "cart", "shop-00004", "cart-٠٠٠٠٤", "cart-0000x"]
)
def test_other_names_have_no_number(name: str) -> None:
    assert number_of("cart", name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blue", 'spec.template.metadata.name: "blue" must have prefix "cart-"; leave the name away, and it is made'),
        ("cart-Blue", '"cart-Blue" is not a DNS 1123 label: at most 63 characters a-z, 0-9 and -, the first and the'),
        ("cart-", '"cart-" is not a DNS 1123 label'),
        ("cart-blue.1", '"cart-blue.1" is not a DNS 1123 label'),
        ("cart-" + "a" * 59, "is not a DNS 1123 label: at most 63 characters"),
    ],
)
def test_a_name_that_a_user_may_not_give_is_told_with_what_is_allowed(name: str, said: str) -> None:
    (problem,) = name_problems("cart", name)
    assert said in str(problem)


def test_all_that_is_wrong_with_a_name_is_told_at_once() -> None:
    assert len(list(name_problems("cart", "Blue"))) == 2


def test_the_revisions_of_a_service_that_begins_with_a_digit_can_be_named() -> None:
    assert not list(name_problems("7up", "7up-blue"))
