"""Several images in one archive, as `docker save` writes it and buildah does not; what they share is in it once.

Containerd and kind read `manifest.json` alone, so the other lists of such an archive are left out.
Trap: two files of one name are taken for one; buildah calls each after what is in it.
"""

import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tools.cluster.images import add

MANIFEST = "manifest.json"


def write_joined(archive: Path, archives: Iterable[Path]) -> None:
    """Writes the images of all `archives`, in that order."""
    images: list[object] = []
    written = set[str]()
    with tarfile.open(archive, "w") as joined:
        for path in archives:
            with tarfile.open(path) as tar:
                listed = json.loads(_content(tar, MANIFEST))
                images += listed
                for name in _named(listed):
                    if name not in written:
                        joined.addfile(tar.getmember(name), tar.extractfile(name))
                        written.add(name)
        add(joined, MANIFEST, json.dumps(images).encode())


def _named(listed: Iterable[dict[str, list[str] | str]]) -> Iterable[str]:
    for image in listed:
        yield str(image["Config"])
        yield from image["Layers"]


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file, f"{name} is no file"
    return file.read()
