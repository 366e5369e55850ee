"""Builds the programs of the cluster from Go modules, and the images of those that run in pods.

Every program appears whole in the cache, under its own name, or not at all: an interrupted build goes on where it
stopped. Owns no version: those are in go/*/go.mod.
Trap: Kubernetes' programs take their version from the linker. Without it the API server calls itself v0.0.0, and
clients that compare versions misbehave.
"""

import os
from dataclasses import dataclass

from tools.cluster import needs, places
from tools.cluster.images import write_image
from tools.cluster.progress import run_and_tell, say, step

IMAGES = {"pause": "edgerun.dev/pause:1", "coredns": "edgerun.dev/coredns:1"}


@dataclass(frozen=True, slots=True)
class Program:
    module: str
    package: str

    @property
    def name(self) -> str:
        return self.package.rpartition("/")[2]


KUBERNETES = tuple(
    Program("kubernetes", f"k8s.io/kubernetes/cmd/{name}")
    for name in ("kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
)
FOR_API_SERVER = KUBERNETES[:2]
FOR_CLUSTER = (
    *KUBERNETES,
    Program("pause", "edgerun.dev/tools/cluster/pause"),
    Program("coredns", "github.com/coredns/coredns"),
)
ALL = (*FOR_CLUSTER, Program("helm", "helm.sh/helm/v4/cmd/helm"))


def build(programs: tuple[Program, ...] = ALL) -> None:
    """Makes sure that the programs are in the cache, and the images of those among them that have one."""
    missing = [program for program in programs if not places.program(program.name).exists()]
    if missing:
        go = needs.require_go()
        names = ", ".join(program.name for program in missing)
        say(f"building {names}\n  into {places.release()}, once; all of them take about 13 minutes on two cores")
        for remaining, program in zip(reversed(range(len(missing))), missing, strict=True):
            with step(f"{program.name} built, {remaining} to go"):
                _build(go, program)
    for program in programs:
        if program.name in IMAGES and not places.image(program.name).exists():
            write_image(places.image(program.name), IMAGES[program.name], places.program(program.name))


def _build(go: str, program: Program) -> None:
    target = places.program(program.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    command = [go, "build", "-trimpath", "-ldflags", _linker_flags(program), "-o", str(partial), program.package]
    try:
        environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
        run_and_tell(command, program.name, cwd=places.SOURCES / program.module, env=environment)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _linker_flags(program: Program) -> str:
    if program.module != "kubernetes":
        return "-s -w"
    version = places.kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())])
