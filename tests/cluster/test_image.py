"""What the image is in a pod of the strictest kind, and what it must not hold."""

import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerun import __version__
from support.pods import origin, origin_program, pod, restricted
from support.poll import eventually_sync

Kubectl = Callable[..., str]

ENVIRONMENT = "opt/edgerun/"
PIP = re.compile(r"(^|/)(pip|ensurepip|pip-[\d.]+\.dist-info|pip-[\d.]+-py3-none-any\.whl)$")
KEYS = re.compile(r"\.(key|p12|pfx)$|(^|/)(id_rsa|id_ed25519|\.netrc|pip\.conf)$")
BUILD_PATHS = (b"/build/edgerun", b"/build/project", str(Path(__file__).parents[2]).encode())

pytestmark = pytest.mark.cluster


def run(kubectl: Kubectl, image: str, *command: str) -> str:
    """What the command prints in a pod that may do nothing but run it."""
    kubectl("apply", "--filename=-", stdin=json.dumps(pod("once", restricted(image, list(command)))))
    ended = eventually_sync(lambda: _phase(kubectl) in ("Succeeded", "Failed") and _phase(kubectl))
    assert ended == "Succeeded", kubectl("logs", "once")
    return kubectl("logs", "once")


def _phase(kubectl: Kubectl) -> str:
    return kubectl("get", "pod", "once", "--output=jsonpath={.status.phase}")


@pytest.mark.parametrize(
    ("command", "answer"), [(["edgerun", "--version"], f"edgerun {__version__}"), (["envoy", "--version"], "version: ")]
)
def test_the_image_runs_the_operator_and_the_edge(
    kubectl: Kubectl, image: str, command: list[str], answer: str
) -> None:
    assert answer in run(kubectl, image, *command)


def test_the_image_holds_all_that_the_control_plane_imports(kubectl: Kubectl, image: str) -> None:
    found = (
        "import importlib, pkgutil, edgerun\n"
        "for one in pkgutil.walk_packages(edgerun.__path__, 'edgerun.'):\n"
        "    if not one.name.endswith('__main__'): importlib.import_module(one.name); print(one.name)\n"
    )
    names = run(kubectl, image, "python3", "-c", found).split()
    assert {"edgerun.infra.kubernetes.client", "edgerun.sources.kubernetes", "edgerun.xds.server"} <= set(names)


def test_the_image_runs_as_nobody_and_can_write_nowhere(kubectl: Kubectl, image: str) -> None:
    tell = (
        "import os\n"
        "print(os.getuid(), os.getgid(), os.environ['HOME'])\n"
        "print([folder for folder, _, _ in os.walk('/opt') if os.access(folder, os.W_OK)])\n"
    )
    assert run(kubectl, image, "python3", "-c", tell).splitlines() == ["65532 65532 /tmp", "[]"]


def test_an_origin_of_the_tests_serves_from_the_image(kubectl: Kubectl, image: str) -> None:
    kubectl("apply", "--filename=-", stdin=json.dumps(origin_program()))
    kubectl("apply", "--filename=-", stdin=json.dumps(pod("cart", origin(image, NAME="cart"))))
    kubectl("wait", "pod/cart", "--for=condition=Ready", "--timeout=60s")
    ask = "import urllib.request as ask; print(ask.urlopen('http://127.0.0.1:8080/').headers['x-origin'])"
    assert kubectl("exec", "cart", "--", "python3", "-c", ask).strip() == "cart"


@pytest.fixture(scope="module")
def layers(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], dict[str, bytes]]:
    """The configuration of the image, and its files of a size that a text or a key may have."""
    files: dict[str, bytes] = {}
    with tarfile.open(archive) as outer:
        described = json.loads(_content(outer, "manifest.json"))[0]
        config = json.loads(_content(outer, described["Config"]))
        for layer in described["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                for member in inner:
                    small = member.isfile() and member.size < 10_000_000
                    files[member.name] = _content(inner, member.name) if small else b""
    return config, files


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    opened = tar.extractfile(name)
    assert opened
    return opened.read()


def test_the_image_says_what_it_is(layers: tuple[dict[str, object], dict[str, bytes]]) -> None:
    config = layers[0]["config"]
    assert isinstance(config, dict)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert {"title": "edgerun", "version": __version__, "licenses": "Apache-2.0"}.items() <= labels.items()
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", ["edgerun"])


def test_the_image_holds_no_pip_no_key_and_no_compiler(layers: tuple[dict[str, object], dict[str, bytes]]) -> None:
    names = set(layers[1])
    assert f"{ENVIRONMENT}bin/edgerun" in names
    assert not [name for name in names if PIP.search(name)]
    assert not [name for name in names if KEYS.search(name)]
    assert not [name for name in names if re.search(r"bin/(gcc|cc|ld|as)$", name)]


def test_the_image_tells_nothing_of_the_machine_that_built_it(
    layers: tuple[dict[str, object], dict[str, bytes]],
) -> None:
    ours = {name: content for name, content in layers[1].items() if name.startswith((ENVIRONMENT, "etc/"))}
    assert not [name for name, content in ours.items() if any(path in content for path in BUILD_PATHS)]
    assert not [name for name in layers[1] if name.endswith("machine.pem")]
    own = Path(os.environ.get("PIP_CERT", os.devnull)).read_bytes()
    assert not own or own not in ours.values()


def test_the_image_holds_bytecode_for_every_module(layers: tuple[dict[str, object], dict[str, bytes]]) -> None:
    names = {name for name in layers[1] if name.startswith(ENVIRONMENT)}
    modules = {name for name in names if name.endswith(".py") and "/edgerun/" in name.removeprefix(ENVIRONMENT)}
    compiled = {re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc$", r"\1.py", name) for name in names}
    assert modules
    assert modules <= compiled - {name for name in names if name.endswith(".pyc")}
