"""The two images that Edgerun's is built from where nothing can be pulled: Debian with Python, made by mmdebstrap.

The base to build in also gets this machine's way to a package index: pip's configuration and the certificates that it
trusts. Neither is in the other base, so neither ships.
Trap: there is no apt in here. What a program of Edgerun links to has to be named, such as libstdc++.
"""

import hashlib
import io
import re
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.images import add, write_archive
from tools.cluster.progress import run, run_and_tell, step

SUITE = "trixie"  # with Python 3.13, as the images that the Dockerfile names
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEEDLESS = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = "etc/ssl/machine.pem"
# Of pip's settings those that say where packages come from.
_SETTING = re.compile(
    r"^(?:global|:env:)\.((?:extra-)?index[-_]url|trusted[-_]host|default-timeout|cert)='(.*)'$", re.M
)


@dataclass(frozen=True, slots=True)
class Base:
    name: str
    packages: tuple[str, ...]
    extra: tuple[tuple[str, bytes], ...] = ()

    @property
    def key(self) -> str:
        return hashlib.sha256(repr((SUITE, NEEDLESS, self)).encode()).hexdigest()[:12]

    def archive(self, cache: Path) -> Path:
        """Its image, made if it is not there."""
        archive = cache / f"{self.name}-{self.key}.tar"
        if not archive.exists():
            with step(f"{self.name} made of Debian {SUITE}"):
                layer = self._root_file_system(cache)
                write_archive(archive, f"edgerun.dev/{self.name}:{self.key}", layer, {"Env": [PATH]})
        return archive

    def _root_file_system(self, cache: Path) -> bytes:
        partial = cache / f".{self.name}.tar"
        try:
            run_and_tell(_mmdebstrap(self.packages, partial), self.name, cwd=cache)
            buffer = io.BytesIO(partial.read_bytes())
        finally:
            partial.unlink(missing_ok=True)
        with tarfile.open(fileobj=buffer, mode="a") as tar:
            for file, content in self.extra:
                add(tar, file, content)
        return buffer.getvalue()


def to_run_in() -> Base:
    return Base("base-run", ("python3", "ca-certificates", "libstdc++6"))


def to_build_in() -> Base:
    packages = (*to_run_in().packages, "python3-venv")
    settings = dict(_SETTING.findall(run(sys.executable, "-m", "pip", "config", "list")))
    trusted = settings.pop("cert", "")
    extra = [(CERTIFICATES, Path(trusted).read_bytes())] if trusted else []
    lines = [f"{name} = {value}" for name, value in sorted(settings.items())]
    lines += [f"cert = /{CERTIFICATES}"] if trusted else []
    extra += [("etc/pip.conf", "\n".join(["[global]", *lines, ""]).encode())]
    return Base("base-build", packages, tuple(extra))


def _mmdebstrap(packages: tuple[str, ...], archive: Path) -> list[str]:
    without = [f"--dpkgopt=path-exclude={path}" for path in NEEDLESS]
    wanted = [f"--include={','.join(packages)}", '--aptopt=Apt::Install-Recommends "false"', f"--keyring={KEYRING}"]
    return ["mmdebstrap", "--quiet", "--variant=essential", *wanted, *without, SUITE, str(archive), _mirror()]


def _mirror() -> str:
    """That of this machine, where it is a Debian."""
    told = run("apt-get", "indextargets", "--format", "$(REPO_URI)")
    return next((uri for uri in told.split() if uri.rstrip("/").endswith("/debian")), MIRROR)
