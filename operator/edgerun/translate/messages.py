"""What messages of Envoy's API are made with, wherever they are made."""

from typing import Any

from google.protobuf.any_pb2 import Any as Packed

__all__ = ["ADS", "Packed", "packed"]

ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}


def packed(message: Any) -> Packed:
    """A message as an Any, with bytes that do not depend on the order of a map."""
    any_ = Packed()
    any_.Pack(message, deterministic=True)
    return any_
