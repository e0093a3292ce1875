"""Where the embedded server of a project keeps its data."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

__all__ = ["default_data_dir", "project_root"]

_MARKERS: Final = ("pyproject.toml", ".git", ".env")


def project_root(cwd: Path) -> Path:
    """Return the nearest folder at or above *cwd* that looks like a project, else *cwd*.

    Programs of one project started from different folders of it share their tasks.
    """
    start = cwd.resolve()
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in _MARKERS):
            return folder
    return start


def default_data_dir(cwd: Path) -> Path:
    """Return the data directory of the project that *cwd* lies in; nothing is created.

    It is `$XDG_DATA_HOME/singleton-service/<name>-<hash>`, where the hash is of the project's
    full path: two projects of one name never share a queue, and one that is moved starts anew.

    Raises:
        RuntimeError: There is no home directory to put it in.
    """
    root = project_root(cwd)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", root.name)[:32].strip("-.") or "project"
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:10]
    return _data_home() / "singleton-service" / f"{name}-{digest}"


def _data_home() -> Path:
    # The XDG rules say to ignore a relative path.
    given = os.environ.get("XDG_DATA_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".local" / "share"  # noqa: PTH117  a string may be empty, a Path not
