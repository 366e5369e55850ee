from edgerun.translate.revisions.tags import tag_hostname


def test_a_tag_has_a_host_name_beside_that_of_the_service() -> None:
    assert tag_hostname("green", "shop.example.com") == "green-shop.example.com"
    assert tag_hostname("green", "cart") == "green-cart"


def test_a_wildcard_host_has_none_for_it_covers_every_label_already() -> None:
    assert tag_hostname("green", "*.example.com") is None


def test_where_a_host_name_would_be_too_long_there_is_none() -> None:
    assert tag_hostname("green", "a" * 57 + ".com") == "green-" + "a" * 57 + ".com"
    assert tag_hostname("green", "a" * 58 + ".com") is None
    assert tag_hostname("green", ".".join(["a" * 62] * 4)) is None
