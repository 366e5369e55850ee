"""Builds the programs of the cluster from Go modules, and the images of those that run in pods.

Every program appears whole in the cache, under its own name, or not at all: an interrupted build goes on where it
stopped. Owns no version: those are in go/*/go.mod.
Trap: Kubernetes' programs take their version from the linker. Without it the API server calls itself v0.0.0, and
clients that compare versions misbehave.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import needs, places
from tools.cluster.images import write_image
from tools.cluster.progress import ClusterError, say, step

IMAGES = {"pause": "edgerun.dev/pause:1", "coredns": "edgerun.dev/coredns:1"}
ALIVE_S = 60


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
        _run_and_tell(command, places.SOURCES / program.module, program.name)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _run_and_tell(command: list[str], folder: Path, name: str) -> None:
    """Runs the command, with a sign of life every minute; what it prints is shown when it fails."""
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as building:
        try:
            for output in _outputs(building):
                if output is None:
                    say(f"{time.monotonic() - started:5.0f} s  {name}: building")
                elif building.returncode:
                    raise ClusterError(f"{name} cannot be built\n{output.strip()}")
        finally:
            building.terminate()


def _outputs(building: subprocess.Popen[str]) -> Iterator[str | None]:
    """None for every minute that passes, at last all that was printed."""
    while True:
        try:
            yield building.communicate(timeout=ALIVE_S)[0]
            return
        except subprocess.TimeoutExpired:
            yield None


def _linker_flags(program: Program) -> str:
    if program.module != "kubernetes":
        return "-s -w"
    version = places.kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())])
