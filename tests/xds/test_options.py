"""gRPC ignores an option that it does not know, without a word: a misspelt one would cost idle proxies their stream."""

from pathlib import Path

from grpc._cython import cygrpc

from edgerun.xds.server import _options


def test_grpc_knows_every_option() -> None:
    library = Path(cygrpc.__file__).read_bytes()
    unknown = [name for name, _ in _options(1) if name.encode() + b"\0" not in library]
    assert unknown == []


def test_a_misspelt_option_would_be_noticed() -> None:
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms\0" not in Path(cygrpc.__file__).read_bytes()
