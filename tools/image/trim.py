"""Takes out of the image's environment what Edgerun never uses; runs inside the build, before Edgerun is installed.

Kubernetes' client brings a module for every kind and every API group, 115 MB with their bytecode, and imports each when
it is first asked for. Of these stay the ones that importing Kopf and the client itself brings in. The scripts of the
dependencies go too.
Trap: the script `envoy` is Python that becomes Envoy. The link in its place saves every edge the start of a Python.
"""

import importlib
import shutil
import sys
import sysconfig
from pathlib import Path

import kopf  # noqa: F401
from kubernetes.aio.client import ApiClient, Configuration  # noqa: F401
from kubernetes.aio.config import load_incluster_config, load_kube_config  # noqa: F401

GENERATED = tuple(f"kubernetes.{client}.{part}" for client in ("client", "aio.client") for part in ("api", "models"))


def main() -> None:
    for package in GENERATED:
        trim(package)
    scripts = Path(sysconfig.get_path("scripts"))
    for script in scripts.iterdir():
        if not script.name.startswith("python"):
            script.unlink()
    (program,) = Path(sysconfig.get_path("platlib")).glob("envoy/_bin/envoy")
    (scripts / "envoy").symlink_to(program)
    shutil.rmtree(Path(sys.prefix, "include"), ignore_errors=True)


def trim(package: str) -> None:
    """Removes the package's modules that nothing has imported."""
    used = {module.__file__ for module in tuple(sys.modules.values()) if getattr(module, "__file__", None)}
    # Only now: this import is ours, not theirs.
    (folder,) = importlib.import_module(package).__path__
    for path in Path(folder).glob("*.py"):
        if path.name != "__init__.py" and str(path) not in used:
            path.unlink()


if __name__ == "__main__":
    main()
