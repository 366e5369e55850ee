"""Container images of one static program, as archives that containerd imports: no engine, no registry, no base image.

Writes the format of `docker save`, which containerd, Docker and kind read alike.
Trap: the layer is not compressed. That costs disk in the cache and saves a second at every start of a cluster.
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

NOBODY = 65532


def write_image(archive: Path, name: str, program: Path) -> None:
    """Writes an image whose only file is the program. Appears whole or not at all."""
    layer = _layer(program)
    config = json.dumps(_config(program.name, hashlib.sha256(layer).hexdigest())).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        for file, content in (("layer.tar", layer), ("config.json", config), ("manifest.json", manifest)):
            _add(tar, file, content)
    partial.replace(archive)


def _layer(program: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, program.name, program.read_bytes(), mode=0o755)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _config(program: str, layer_digest: str) -> dict[str, object]:
    return {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program}"], "User": f"{NOBODY}:{NOBODY}", "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
