"""Objects as a user would write them."""

from typing import Any

from edgerun.api import API_VERSION


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
