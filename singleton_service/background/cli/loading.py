"""The user's own modules, as somebody names them on a command line: `app.tasks`, `app/tasks.py`, or a package.

They are imported by their dotted name from the working directory, as `python -m` does it: a process of its own for
tasks, or a worker that is started anew, must find them by it.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .problems import CommandError, ExitCode
from .tracebacks import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def load_module(where: str) -> ModuleType:
    """Import one module and return it.

    Args:
        where: its dotted name, or the path of its file or package below the working directory.

    Raises:
        CommandError: it is not there, which one line says; or it can't be imported, with the user's part of the
            traceback.
    """
    _be_where_python_would_be()
    name = _dotted(where)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, error) from error
        raise _missing(name) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def load_tasks(modules: Sequence[str]) -> list[str]:
    """Import modules and packages with all below them, and return the names of the tasks they define, sorted.

    Raises:
        CommandError: as `load_module` does.
        DiscoveryError: a module below can't be used; the log has its traceback.
    """
    from singleton_service.background.task_queue import discover  # noqa: PLC0415 - heavy, and `graph` needs none

    found: set[str] = set()
    for where in modules:
        found.update(discover(load_module(where).__name__))
    return sorted(found)


def _be_where_python_would_be() -> None:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _dotted(where: str) -> str:
    if not (where.endswith(".py") or os.sep in where):
        if all(part.isidentifier() for part in where.split(".")):
            return where
        raise CommandError(f"{where!r} is no module: name one as 'app.tasks' or 'app/tasks.py'", code=ExitCode.USAGE)
    path = Path(where)
    if not path.exists():
        raise CommandError(f"there is no file {where!r} in {Path.cwd()}", code=ExitCode.USAGE)
    here = Path.cwd().resolve()
    if not path.resolve().is_relative_to(here):
        raise CommandError(
            f"{where!r} is not below the working directory {here}: go where your program runs", code=ExitCode.USAGE
        )
    parts = path.resolve().relative_to(here).with_suffix("").parts
    if parts[-1:] == ("__init__",):
        parts = parts[:-1]
    if not parts or not all(part.isidentifier() for part in parts):
        raise CommandError(
            f"{where!r} can't be imported: its path is to be names as Python has them, with / between",
            code=ExitCode.USAGE,
        )
    return ".".join(parts)


def _missing(name: str) -> CommandError:
    near = difflib.get_close_matches(name, _names_below_here(name), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "go where your program runs, or install what has it"
    return CommandError(f"there is no module {name!r} (looked in {Path.cwd()}): {hint}", code=ExitCode.USAGE)


def _names_below_here(name: str) -> list[str]:
    """Return modules of the working directory, and of the part of *name* that is there."""
    found = [info.name for info in pkgutil.iter_modules([str(Path.cwd())])]
    parents = [name.rpartition(".")[0], *difflib.get_close_matches(name.partition(".")[0], found, n=1)]
    for parent in filter(None, parents):
        folder = Path.cwd().joinpath(*parent.split("."))
        found += [f"{parent}.{info.name}" for info in pkgutil.iter_modules([str(folder)])]
    return found


def _broken(name: str, error: BaseException) -> CommandError:
    what = f"module {name!r} can't be imported"
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return CommandError(what, said, "Mend it where the traceback ends.", detail=shortened(error))
