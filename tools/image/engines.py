"""Two ways from the Dockerfiles to an archive: Docker, or buildah as root where no engine runs.

The archive holds two images: Edgerun's, and on top of it that of the examples.

Both keep the layers of earlier builds. buildah keeps its own in a folder of the cache, which is emptied when it has
grown too large, and runs in a mount namespace of its own, so that nothing stays mounted, whatever happens.
Trap: buildah's driver `overlay` is quick, but does not work on top of another overlay, as in a container; `vfs` works
everywhere, copying all files for each line of the Dockerfile.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.cluster import needs
from tools.cluster.needs import found
from tools.cluster.progress import ClusterError, run, run_and_tell, say, step
from tools.image import bases
from tools.image.archives import write_joined
from tools.image.inputs import version

NAME = "edgerun.dev/edgerun:dev"
EXAMPLES = "edgerun.dev/examples:dev"
LAYERS_AT_MOST_MB = 8000
DRIVERS = ("overlay", "vfs")


def with_docker(context: Path, archive: Path) -> None:
    """The bases are those of the Dockerfile, or what EDGERUN_BUILD_IMAGE and EDGERUN_BASE_IMAGE name."""
    docker = found("docker") or "docker"
    named = {f"{one}_IMAGE": os.environ.get(f"EDGERUN_{one}_IMAGE", "") for one in ("BUILD", "BASE")}
    arguments = _build_arguments({key: value for key, value in named.items() if value})
    with step("the image is built by Docker"):
        run_and_tell([docker, "build", "--quiet", f"--tag={NAME}", *arguments, "."], "the image", cwd=context)
        run_and_tell([docker, "build", "--quiet", f"--tag={EXAMPLES}", "examples"], "the examples", cwd=context)
        run(docker, "save", f"--output={archive}", NAME, EXAMPLES)


def with_buildah(context: Path, archive: Path, cache: Path) -> None:
    arguments = _build_arguments(
        {
            "BUILD_IMAGE": f"docker-archive:{bases.to_build_in().archive(cache)}",
            "BASE_IMAGE": f"docker-archive:{bases.to_run_in().archive(cache)}",
        }
    )
    _keep_small(cache / "layers")
    scratch = tempfile.TemporaryDirectory
    with step("the image is built by buildah"), scratch() as state, scratch(dir=cache) as alone:
        buildah = _buildah(cache / "layers", Path(state))
        build = ["bud", "--isolation=chroot", "--layers", f"--tag={NAME}", *arguments, "."]
        run_and_tell([*buildah, *build], "the image", cwd=context)
        build = ["bud", "--isolation=chroot", "--pull-never", f"--tag={EXAMPLES}", "examples"]
        run_and_tell([*buildah, *build], "the examples", cwd=context)
        archives = {name: Path(alone, f"{number}.tar") for number, name in enumerate((NAME, EXAMPLES))}
        for name, path in archives.items():
            run(*buildah, "push", "--quiet", name, f"docker-archive:{path}:{name}")
        write_joined(archive, archives.values())


def require_buildah() -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "no container engine answers, and without one it takes root to build the image.\n"
            "  Start Docker, or try: sudo make image"
        )
    needs.require(needs.FOR_IMAGE)


def _build_arguments(values: Mapping[str, str]) -> list[str]:
    return [f"--build-arg={key}={value}" for key, value in {**values, "VERSION": version()}.items()]


def _buildah(layers: Path, state: Path) -> list[str]:
    private = ["unshare", "--mount", "--propagation=private", "buildah", f"--runroot={state}"]
    for driver in DRIVERS:
        command = [*private, f"--root={layers / driver}", f"--storage-driver={driver}"]
        if subprocess.run([*command, "images"], capture_output=True).returncode == 0:
            return command
    raise ClusterError(f"buildah works with none of its drivers {' and '.join(DRIVERS)} in {layers}")


def _keep_small(layers: Path) -> None:
    if not layers.exists():
        return
    megabytes = int(run("du", "--summarize", "--block-size=1M", str(layers)).split()[0])
    if megabytes > LAYERS_AT_MOST_MB:
        say(f"{layers} holds {megabytes} MB: emptied")
        shutil.rmtree(layers)
