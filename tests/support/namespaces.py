"""Namespaces of a test's own, under the strictest rules for pods, and kubectl that speaks of one of them."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.cluster import tool

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"

Kubectl = Callable[..., str]


@contextmanager
def namespace() -> Iterator[Kubectl]:
    """One that is there while the block runs, and is being deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    tool("kubectl", "create", "namespace", name)
    tool("kubectl", "label", "namespace", name, RESTRICTED)
    try:
        yield lambda *arguments, **options: tool("kubectl", "--namespace", name, *arguments, **options)
    finally:
        tool("kubectl", "delete", "namespace", name, "--wait=false")
