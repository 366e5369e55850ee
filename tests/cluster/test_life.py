"""How clusters come and go. Every test makes its own, beside any that runs."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.poll import eventually_sync

TOOLS = Path(__file__).parents[2] / "tools" / "cluster"
FOLDERS = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/run/containerd", "/usr/libexec/kubernetes")
SETTINGS = ("net.ipv4.ip_forward", "vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")

pytestmark = pytest.mark.cluster
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a whole cluster needs root")


def tool(name: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    command = [str(TOOLS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**inherited, **environment})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the test's cluster keeps everything. Whatever happens, it is stopped."""
    folder = tmp_path / "cluster"
    yield folder
    if folder.exists():
        done = tool("down", folder)
        assert done.returncode == 0, done.stderr


def up(folder: Path, *options: str) -> Path:
    done = tool("up", *options, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder / 'kubeconfig'}\n"
    return Path(done.stdout.strip())


def answers(kubeconfig: Path) -> bool:
    return tool("kubectl", "get", "--raw=/readyz", KUBECONFIG=str(kubeconfig)).stdout == "ok"


def processes(folder: Path) -> list[int]:
    """Those that name the folder in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if bytes(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def traces(folder: Path) -> dict[str, object]:
    """Everything on this machine that a cluster might leave behind."""

    def told(*command: str) -> list[str]:
        if not shutil.which(command[0]):
            return []
        return sorted(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

    return {
        "devices": told("ip", "-brief", "link"),
        "addresses": told("ip", "-brief", "address"),
        "routes": told("ip", "route"),
        "rules": told("nft", "list", "ruleset"),
        "settings": told("sysctl", *SETTINGS),
        "mounts": Path("/proc/mounts").read_text().splitlines(),
        "cgroups": sorted(path.name for path in Path("/sys/fs/cgroup").glob("**/edgerun*")),
        "others' cgroups": sorted(map(str, Path("/sys/fs/cgroup").glob("*/k8s.io"))),
        "folders": [path for path in FOLDERS if Path(path).exists()],
        "processes": processes(folder),
        "files": folder.exists(),
    }


@needs_root
def test_down_leaves_nothing_of_a_whole_cluster(folder: Path) -> None:
    before = traces(folder)
    kubeconfig = up(folder)
    during = traces(folder)
    assert {name for name in before if before[name] != during[name]} >= {"devices", "routes", "cgroups", "processes"}
    assert answers(kubeconfig)
    assert tool("down", folder).returncode == 0
    assert traces(folder) == before


@needs_root
def test_a_cluster_comes_up_again_after_all_of_it_was_killed(folder: Path) -> None:
    before = traces(folder)
    up(folder)
    for pid in processes(folder):
        os.kill(pid, signal.SIGKILL)
    init = int((folder / "pids" / "init").read_text().split()[0])
    os.kill(init, signal.SIGKILL)
    eventually_sync(lambda: not processes(folder))
    assert answers(up(folder))
    assert tool("down", folder).returncode == 0
    assert traces(folder) == before


@needs_root
def test_a_cluster_with_one_dead_program_is_started_anew(folder: Path) -> None:
    first = up(folder).read_text()
    killed = next(pid for pid in processes(folder) if b"/bin/kubelet\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(killed, signal.SIGKILL)
    second = up(folder)
    assert answers(second)
    assert second.read_text() != first


def test_up_changes_nothing_when_the_cluster_runs(folder: Path) -> None:
    kubeconfig = up(folder, "--apiserver-only")
    before = (kubeconfig.read_text(), processes(folder))
    again = tool("up", "--apiserver-only", folder)
    assert again.stdout == f"{kubeconfig}\n"
    assert "runs already" in again.stderr
    assert (kubeconfig.read_text(), processes(folder)) == before


def test_down_leaves_nothing_of_an_api_server(folder: Path) -> None:
    before = traces(folder)
    assert answers(up(folder, "--apiserver-only"))
    assert tool("down", folder).returncode == 0
    assert traces(folder) == before


def test_api_servers_side_by_side_do_not_meet(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    try:
        with ThreadPoolExecutor(len(folders)) as pool:
            kubeconfigs = list(pool.map(lambda folder: up(folder, "--apiserver-only"), folders))
        for kubeconfig in kubeconfigs:
            name = f"only-{kubeconfig.parent.name}"
            assert tool("kubectl", "create", "namespace", name, KUBECONFIG=str(kubeconfig)).returncode == 0
        for kubeconfig in kubeconfigs:
            listed = tool("kubectl", "get", "namespaces", "--output=name", KUBECONFIG=str(kubeconfig)).stdout
            assert [name for name in listed.split() if "only-" in name] == [f"namespace/only-{kubeconfig.parent.name}"]
    finally:
        for folder in folders:
            tool("down", folder)


def test_the_keys_are_for_their_owner_alone(folder: Path) -> None:
    up(folder, "--apiserver-only")
    secrets = [folder / "kubeconfig", *(folder / "keys").glob("*.key")]
    assert len(secrets) > 3
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_etcd_answers_nobody_without_a_certificate(folder: Path) -> None:
    up(folder, "--apiserver-only")
    command = next(
        Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        for pid in processes(folder)
        if Path(f"/proc/{pid}/comm").read_text().strip() == "etcd"
    )
    url = next(option.partition("=")[2] for option in command if option.startswith("--listen-client-urls="))
    asked = subprocess.run(["curl", "--insecure", "--silent", "--noproxy", "*", f"{url}/version"], capture_output=True)
    assert asked.returncode != 0
    assert not asked.stdout


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_folder_of_somebody_else_is_not_touched(command: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    done = tool(command, folder)
    assert done.returncode == 1
    assert str(folder) in done.stderr
    assert (folder / "thesis.txt").read_text() == "years of work"
    shutil.rmtree(folder)


def test_the_cluster_that_kubeconfig_names_is_used_and_nothing_is_started(tmp_path: Path) -> None:
    theirs = str(tmp_path / "theirs")
    done = tool("up", KUBECONFIG=theirs, XDG_STATE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"{theirs}\n")
    assert "nothing is started" in done.stderr
    assert not processes(tmp_path)
    assert not list(tmp_path.glob("edgerun/cluster/*"))


def test_down_says_so_when_no_cluster_runs(folder: Path) -> None:
    done = tool("down", folder)
    assert done.returncode == 0
    assert "no cluster runs" in done.stderr


def test_kind_is_used_where_a_container_engine_runs(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "kind"):
        script = f"#!/bin/sh\necho {name} $* >>{tmp_path}/asked\n[ $1 != get ] || cat {tmp_path}/clusters\n"
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    (tmp_path / "clusters").write_text("")
    (tmp_path / "image.tar").touch()
    ours = {"PATH": f"{programs}:{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path)}

    done = tool("up", **ours)
    kubeconfig = tmp_path / "edgerun" / "cluster" / "kubeconfig"
    assert (done.returncode, done.stdout) == (0, f"{kubeconfig}\n")
    (tmp_path / "clusters").write_text("edgerun\n")
    assert "runs already" in tool("up", **ours).stderr
    assert tool("load", tmp_path / "image.tar", **ours).returncode == 0
    assert tool("down", **ours).returncode == 0

    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line for line in asked if line.startswith("kind") and "get clusters" not in line] == [
        f"kind create cluster --name=edgerun --kubeconfig={kubeconfig} --wait=120s",
        f"kind export kubeconfig --name=edgerun --kubeconfig={kubeconfig}",
        f"kind load image-archive {tmp_path}/image.tar --name=edgerun",
        "kind delete cluster --name=edgerun",
    ]
    assert not kubeconfig.parent.exists()


@needs_root
def test_two_whole_clusters_run_side_by_side(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    try:
        kubeconfigs = [up(folder) for folder in folders]
        assert all(answers(kubeconfig) for kubeconfig in kubeconfigs)
        assert tool("down", folders[0]).returncode == 0
        assert not answers(kubeconfigs[0])
        assert answers(kubeconfigs[1])
    finally:
        for folder in folders:
            tool("down", folder)
