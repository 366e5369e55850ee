"""The table of good objects, at the edge of what is allowed: `crd/valid/*.yaml`, one object per file."""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "crd" / "valid"


def valid() -> dict[str, Any]:
    """The objects by what their files are called."""
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.yaml"))}
