from edgerun.translate.revisions.memory import Tagged
from edgerun.translate.revisions.tags import TagMatch, tag_hostname, tag_matches

GREEN = Tagged(tag="green", revision_name="cart-00002")


def test_a_tag_has_a_host_name_beside_each_of_the_service_and_a_header() -> None:
    assert tag_matches([GREEN], ["shop.example.com", "*.example.com", "cart"]) == (
        TagMatch(
            "green",
            "cart-00002",
            ("green-shop.example.com", "green-cart"),
            ("knative-serving-tag", "green"),
        ),
    )


def test_the_order_of_tags_does_not_matter() -> None:
    blue = Tagged(tag="blue", revision_name="cart-00001")
    assert tag_matches([GREEN, blue], ["a.b"]) == tag_matches([blue, GREEN], ["a.b"])


def test_where_a_host_name_would_be_too_long_the_header_is_all_there_is() -> None:
    assert tag_hostname("green", "a" * 57 + ".com") == "green-" + "a" * 57 + ".com"
    assert tag_hostname("green", "a" * 58 + ".com") is None
    assert tag_hostname("green", ".".join(["a" * 62] * 4)) is None
