"""How a container's words become a process of this machine: pure, apart from looking for the command.

`command` and `args` mean what they mean in a pod. A local process has no image, so there is no ENTRYPOINT to fall back
to, and no file system of its own: `workingDir` is relative to the folder that holds the YAML.

Trap: `$(NAME)` sees what the template and the platform declare, never the environment of `edgerun` itself.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ...api.templates import Container

# What a process needs to find its programs, its user's files and its language; tokens and passwords are none of it.
INHERITED = ("PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV", "SSL_CERT_FILE", "PYTHON*")
FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


@dataclass(frozen=True, slots=True)
class Launch:
    """What is started: no shell between, `argv[0]` found."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


class LaunchError(Exception):
    """A container cannot be started as a process here. `reason` is CamelCase, for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def launch(container: Container, platform: Mapping[str, str], *, root: Path, parent: Mapping[str, str]) -> Launch:
    """The process for `container`. `platform` holds what the template cannot override: PORT, K_SERVICE and others.

    Raises LaunchError when there is nothing to run, or not here.
    """
    if not container.command:
        raise LaunchError("NoCommand", _no_command(container))
    declared = _declared(container, platform)
    words = tuple(expanded(word, declared) for word in (*container.command, *container.args))
    env = {**inherited(parent), "PYTHONUNBUFFERED": "1", **declared}  # else a crash takes the last output with it
    cwd = root / container.working_dir
    if not cwd.is_dir():
        raise LaunchError("WorkingDirMissing", f'workingDir "{container.working_dir}": there is no directory {cwd}')
    return Launch((_found(words[0], cwd=cwd, path=env.get("PATH", FALLBACK_PATH)), *words[1:]), env, cwd)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$(NAME)` replaced, as Kubernetes does it: unknown names stay, and `$$` is a plain `$`."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return "$" if name is None else variables.get(name, found[0])

    return _REFERENCE.sub(value, text)


def inherited(parent: Mapping[str, str]) -> dict[str, str]:
    """The part of our own environment that every origin gets."""
    return {
        name: value
        for name, value in sorted(parent.items())
        if any(fnmatchcase(name, pattern) for pattern in INHERITED)
    }


def _declared(container: Container, platform: Mapping[str, str]) -> dict[str, str]:
    """A value may refer to the platform's variables and to those declared before it."""
    declared = dict(platform)
    for variable in container.env:
        if variable.name not in platform:
            declared[variable.name] = expanded(variable.value, declared)
    return declared


def _found(command: str, *, cwd: Path, path: str) -> str:
    if "/" in command:
        where = cwd / command
        if where.is_file() and os.access(where, os.X_OK):
            return str(where)
        fault = "is not an executable file" if where.exists() else "does not exist"
        raise LaunchError("CommandNotFound", f'command "{command}": {where} {fault}')
    if found := shutil.which(command, path=path):
        return str(cwd / found)  # an entry of PATH may be relative
    raise LaunchError("CommandNotFound", f'command "{command}" is not in PATH: {path}')


def _no_command(container: Container) -> str:
    given = (
        f'image "{container.image}"' if container.image else "args alone" if container.args else "an empty container"
    )
    return (
        f"{given} cannot run here: the standalone mode starts a process of this machine, not a container; "
        'write what to start, for example command: ["python3", "app.py"]'
    )
