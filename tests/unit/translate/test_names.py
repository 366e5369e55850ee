"""What a cluster is called tells whose it is."""

from edgerun.api.meta import ObjectKey
from edgerun.translate.names import Called, called, called_by, revision_cluster, revision_of, url_cluster

CART = ObjectKey("OriginService", "shop", "cart")
SECOND = ObjectKey("OriginRevision", "shop", "cart-00002")


def test_the_revision_of_a_cluster_is_the_same_whoever_calls_and_however_often_it_slept() -> None:
    for cluster, epoch in ((revision_cluster(CART, "cart-00002"), 0), (revision_cluster(CART, "cart-00002", 7), 7)):
        assert called(cluster) == called(called_by(cluster, "blog", "build.bot")) == Called(CART, SECOND, epoch)
        assert revision_of(called_by(cluster, "blog", "build.bot")) == SECOND


def test_an_origin_without_any_revision_has_a_cluster_with_nobody_in_it() -> None:
    nobody = called(revision_cluster(CART, ""))
    assert nobody
    assert (nobody.service, nobody.revision.name) == (CART, "")
    assert revision_of(revision_cluster(CART, "")) is None


def test_nobody_of_ours_is_behind_other_clusters() -> None:
    elsewhere = called_by(url_cluster("https://legacy.example/origin/shop/cart"), "shop", "default")
    assert [called(name) for name in (elsewhere, "xds", "", "origin/shop", "missing")] == [None] * 5
