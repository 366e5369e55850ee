"""What a cluster is called tells whose it is."""

from edgerun.api.meta import ObjectKey
from edgerun.translate.names import called_by, origin_of, service_cluster, url_cluster

CART = ObjectKey("OriginService", "shop", "cart")


def test_the_origin_of_a_cluster_is_the_same_whoever_calls() -> None:
    cluster = service_cluster(CART)
    assert origin_of(cluster) == CART
    assert origin_of(called_by(cluster, "blog", "build.bot")) == CART


def test_nobody_of_ours_is_behind_other_clusters() -> None:
    elsewhere = called_by(url_cluster("https://legacy.example/origin/shop/cart"), "shop", "default")
    assert [origin_of(name) for name in (elsewhere, "xds", "", "origin/shop", "missing")] == [None] * 5
