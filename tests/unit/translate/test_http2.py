"""An origin that speaks HTTP/2: which clusters do, and which do not."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from edgerun.translate.plan import CLUSTER
from edgerun.translate.translator import translate
from support.objects import edge_route, origin_service, world


@pytest.mark.parametrize(
    ("ports", "wanted"),
    [
        ([], False),
        ([{"containerPort": 9000}], False),
        ([{"containerPort": 9000, "name": "http1"}], False),
        ([{"containerPort": 9000, "name": "h2c"}], True),
        ([{"containerPort": 9000, "name": "h2c"}, {"containerPort": 9001, "name": "metrics"}], True),
        ([{"containerPort": 9000}, {"containerPort": 9001, "name": "h2c"}], False),
    ],
)
def test_it_is_the_name_of_the_first_port_that_says_so(ports: list[dict[str, object]], wanted: bool) -> None:
    service = origin_service("cart", ports=ports)
    plan = translate(world(service, edge_route(rules=[{"origins": [{"service": {"name": "cart"}}]}])))
    (resource,) = plan.fleets["default"][CLUSTER].values()
    (options,) = cluster_pb2.Cluster.FromString(resource.body).typed_extension_protocol_options.values()
    found = http_protocol_options_pb2.HttpProtocolOptions.FromString(options.value)
    assert found.explicit_http_config.HasField("http2_protocol_options") == wanted
