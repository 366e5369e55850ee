"""What the image is made of, and the key by which its archive is found again: the same files, the same key.

`.dockerignore` lets the same files through, and no others. A test compares the two with the Dockerfile.
Trap: what a file is called and whether it may be executed counts as well as what it holds.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = (
    "LICENSE",
    "README.md",
    "crds",
    "operator",
    "pyproject.toml",
    "tools/image/requirements-build.txt",
    "tools/image/requirements.txt",
    "tools/image/trim.py",
)
RULES = ("Dockerfile", ".dockerignore", "examples/Dockerfile", "examples/.dockerignore")
OF_EXAMPLES = ("hello/hello.py", "shop/apps")  # below examples/


def copy_to(folder: Path) -> None:
    """Puts there what the image is made of, as it is at this moment."""
    for path in _files(ROOT):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def key(root: Path, *how: str) -> str:
    """A name for the image that the files below `root` make when they are built in that way."""
    digest = hashlib.sha256(repr(how).encode())
    for path in _files(root):
        about = (str(path.relative_to(root)), path.stat().st_mode & 0o111, path.stat().st_size)
        digest.update(repr(about).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _files(root: Path) -> Iterator[Path]:
    for name in (*RULES, *COPIED, *(f"examples/{one}" for one in OF_EXAMPLES)):
        path = root / name
        below = (one for one in path.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
        yield from sorted(below) if path.is_dir() else [path]


def version() -> str:
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "operator" / "edgerun" / "__init__.py").read_text())
    assert found, "edgerun has no version"
    return found[1]
