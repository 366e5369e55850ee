"""Container images of one layer, as archives that containerd and buildah import: no engine, no registry, no base image.

Writes the format of `docker save`, which containerd, Docker and kind read alike.
Trap: the layer is not compressed. That costs disk in the cache and saves a second at every start of a cluster.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path

NOBODY = 65532


def write_image(archive: Path, name: str, program: Path) -> None:
    """Writes an image whose only file is the program."""
    run = {"Entrypoint": [f"/{program.name}"], "User": f"{NOBODY}:{NOBODY}", "WorkingDir": "/"}
    write_archive(archive, name, _layer(program), run)


def write_archive(archive: Path, name: str, layer: bytes, run: Mapping[str, object]) -> None:
    """Writes an image of one layer, and how it is to be run. Appears whole or not at all."""
    config = json.dumps(_config(run, hashlib.sha256(layer).hexdigest())).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        for file, content in (("layer.tar", layer), ("config.json", config), ("manifest.json", manifest)):
            add(tar, file, content)
    partial.replace(archive)


def _layer(program: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, program.name, program.read_bytes(), mode=0o755)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _config(run: Mapping[str, object], layer_digest: str) -> dict[str, object]:
    return {
        "architecture": _architecture(),
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tools/cluster/images.py"}],
    }


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
