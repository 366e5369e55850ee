"""The chart as Helm renders it: its text, its objects, and what Helm says when it refuses.

`helm` asks no cluster. What one has besides Kubernetes is told it: `CAPABLE`. `ask` and `kubectl` do ask one.
Trap: the CRDs are most of what is rendered, so the golden files leave them out; tests of their own compare them.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.cluster import places

from support.apiserver import ApiServer

CHART = Path(__file__).parents[2] / "charts" / "edgerun"
RELEASE, NAMESPACE = "my-release", "edge-system"
KUBERNETES = "1.34.0"  # otherwise it is what Helm was built with
CAPABLE = ("--api-versions", "monitoring.coreos.com/v1")
CRD = "CustomResourceDefinition"

Object = Mapping[str, Any]


def missing() -> str:
    """Why the chart cannot be rendered on this machine; "" when it can."""
    return "" if places.program("helm").exists() else "helm is not built; build it with: tools/cluster/build"


def needed() -> None:
    """Skip the test where the chart cannot be installed."""
    if reason := missing():
        pytest.skip(f"nobody installs the chart: {reason}")


def ask(server: ApiServer, program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """kubectl or helm, talking to an API server."""
    command = [str(places.program(program)), "--kubeconfig", str(server.kubeconfig), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True)


def kubectl(server: ApiServer, *arguments: str, stdin: str = "") -> str:
    done = ask(server, "kubectl", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def helm(*arguments: str | Path, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    command = [places.program("helm"), *arguments, *(("--values", "-") if values is not None else ())]
    environment = {**os.environ, "KUBECONFIG": os.devnull}  # whoever has a cluster is not asked
    stdin = yaml.safe_dump(values) if values is not None else ""
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment)


def render(values: Object | None = None, *options: str, release: str = RELEASE) -> str:
    options = ("--kube-version", KUBERNETES, *CAPABLE, *options)
    done = helm("template", release, CHART, "--namespace", NAMESPACE, *options, values=values or {})
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(values: Object, *options: str) -> str:
    """What Helm says about values that it does not take."""
    options = ("--kube-version", KUBERNETES, *options)
    done = helm("template", RELEASE, CHART, "--namespace", NAMESPACE, *options, values=values)
    assert done.returncode != 0, "helm took it"
    return done.stderr


def objects(text: str) -> list[Object]:
    return [one for one in yaml.load_all(text, Loader=OnceLoader) if one]


def rendered(values: Object | None = None, *options: str) -> list[Object]:
    """All objects but the CRDs."""
    return [one for one in objects(render(values, *options)) if one["kind"] != CRD]


def find(found: list[Object], kind: str, name: str = "edgerun") -> Object:
    return next(one for one in found if one["kind"] == kind and one["metadata"]["name"] == name)


def pods(found: list[Object]) -> Iterator[tuple[str, Object]]:
    """The name and the PodSpec of everything that runs pods."""
    for one in found:
        if one["kind"] in ("Pod", "Deployment"):
            spec = one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
            yield f"{one['kind']} {one['metadata']['name']}", spec


class OnceLoader(yaml.CSafeLoader):
    """YAML in which a key that is there twice is an error, as it is for an API server, but not for PyYAML."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{node.start_mark}: {twice} twice"
        return super().construct_mapping(node, deep)
