"""Everything that can be seen of a release without reading a Secret of the operator's: what its objects say, what its
pods log, and what is around in their containers.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.cluster import told, tool
from support.release import NAME, NAMESPACE, Release
from support.sieve import Texts

EDGERUN = Path(sys.executable).with_name("edgerun")
PEEK = Path(__file__).with_name("peek.py").read_text()
PAGES: Mapping[str, tuple[str, ...]] = {
    "edgerun-guard": ("metrics",),
    "envoy": ("metrics",),
    "operator": ("metrics", "readyz", ".well-known/openid-configuration", "openid/v1/jwks"),
}
_PORTS = ("edgerun-probes", "probes")
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """`tokens` are those of Kubernetes that were found where they belong."""

    texts: Texts
    tokens: frozenset[str]


def gathered(release: Release, namespaces: Iterable[str]) -> Evidence:
    """Of the operator's namespace, of these, and of what belongs to none."""
    everywhere = {
        "objects": _objects(),
        "render": _rendered(),
        "secrets of others": tool("kubectl", "get", "secrets", "--all-namespaces", _NOT_OURS, "--output=json"),
        "helm": release.helm("get", "all", NAME),
    }
    pods = [pod for one in (NAMESPACE, *namespaces) for pod in _pods(one)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(_of_pod, pods))
    texts = {where: text for one in found for where, text in one.texts.items()}
    return Evidence({**everywhere, **texts}, frozenset().union(*(one.tokens for one in found)))


_NOT_OURS = f"--field-selector=metadata.namespace!={NAMESPACE}"


def _objects() -> str:
    """Of every kind but Secrets: specs, statuses, Events, ConfigMaps and all."""
    kinds = tool("kubectl", "api-resources", "--verbs=list", "--output=name").split()
    asked = ",".join(kind for kind in kinds if kind != "secrets")
    return tool("kubectl", "get", asked, "--all-namespaces", "--ignore-not-found", "--output=json")


def _rendered() -> str:
    """What `edgerun render` makes of all that users wrote."""
    listed = tool("kubectl", "get", "originservices,edgeroutes", "--all-namespaces", "--output=json")
    with TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.yaml") for number, _ in enumerate(json.loads(listed)["items"])]
        for file, one in zip(files, json.loads(listed)["items"], strict=True):
            file.write_text(json.dumps(one))
        return told(EDGERUN, "render", *files)


def _pods(namespace: str) -> list[dict[str, Any]]:
    listed = json.loads(tool("kubectl", "--namespace", namespace, "get", "pods", "--output=json"))["items"]
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def _of_pod(pod: Mapping[str, Any]) -> Evidence:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    kubectl = functools.partial(tool, "kubectl", "--namespace", namespace)
    texts, tokens = {f"log of {name}": kubectl("logs", name, "--all-containers")}, set[str]()
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
        found = _peeked(kubectl, name, container)
        texts |= {f"{name}/{container['name']} {where}": text for where, text in found["seen"].items()}
        tokens |= set(found["tokens"])
    return Evidence(texts, frozenset(tokens))


def _peeked(kubectl: Callable[..., str], pod: str, container: Mapping[str, Any]) -> dict[str, Any]:
    ports = {one.get("name"): one["containerPort"] for one in container.get("ports", ())}
    port = next((ports[name] for name in (*_PORTS, "http") if name in ports), 0)
    urls = [f"http://127.0.0.1:{port}/{page}" for page in PAGES.get(container["name"], ())]
    said: dict[str, Any] = json.loads(
        kubectl("exec", pod, f"--container={container['name']}", "--", "python3", "-c", PEEK, *urls)
    )
    return said
