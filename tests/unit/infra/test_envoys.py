"""What the Envoys of the standalone mode print, and who hears it."""

from edgerun.infra.local.envoys import of_course

COMPLAINT = "[2026-01-01 12:00:00.000][7][warning][config] [source/a.cc:174] gRPC config: initial fetch timed out for "


def test_that_a_request_waits_for_an_origin_that_sleeps_is_no_complaint() -> None:
    assert of_course(f"{COMPLAINT}type.googleapis.com/envoy.config.cluster.v3.Cluster")
    assert not of_course(f"{COMPLAINT}type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment")
    assert not of_course("[warning] no healthy upstream")
