"""discover: import all modules of a package, so that a worker knows their tasks."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from typing import TYPE_CHECKING

from .decorator import FunctionOfTask
from .errors import DiscoveryError
from .handlers import registry
from .task_handler import TaskHandler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from .handlers import Handler

logger = logging.getLogger("singleton_service.task_queue")


def discover(package: str) -> list[str]:
    """Import *package* and all modules below it, register the tasks they define, and return their names, sorted.

    Each module that fails is logged with its traceback, and the others are imported all the same. Modules called
    `__main__` are left out: importing them would run them. Harmless when repeated. Sub-packages need an `__init__.py`.

    Args:
        package: a package or a module as `import` has it, such as "app.tasks".

    Raises:
        DiscoveryError: some modules could not be imported, or define a task whose name another one has. All else was
            registered: a worker that would rather do part of the work than none may catch it.
    """
    if not isinstance(package, str):
        raise TypeError(
            f"package {package!r} is of type {type(package).__name__}, it must be a name such as 'app.tasks'"
        )
    found: set[str] = set()
    failures: dict[str, str] = {}
    pending = [package]
    while pending:
        name = pending.pop(0)
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            _note(failures, name, error)
            continue
        for handler in _handlers_of(module):
            try:
                if registry.get(handler.name) is not handler:
                    registry.claim(handler)
                found.add(handler.name)
            except ValueError as error:
                _note(failures, name, error)
        pending += [below for below in _modules_below(module) if not below.endswith(".__main__")]
    if failures:
        raise DiscoveryError(package, failures)
    logger.info("discovered %d tasks in %s: %s", len(found), package, ", ".join(sorted(found)))
    return sorted(found)


def _handlers_of(module: ModuleType) -> Iterator[Handler]:
    for value in list(vars(module).values()):
        if isinstance(value, FunctionOfTask) or (isinstance(value, type) and issubclass(value, TaskHandler)):
            handler = value._handler
            if handler is not None:
                yield handler


def _modules_below(module: ModuleType) -> list[str]:
    path = getattr(module, "__path__", None)
    if path is None:
        return []
    return [info.name for info in pkgutil.iter_modules(path, f"{module.__name__}.")]


def _note(failures: dict[str, str], name: str, error: BaseException) -> None:
    logger.error("discover: module %s can't be used", name, exc_info=error)
    said = f"{type(error).__name__}: {error}"
    failures[name] = f"{failures[name]}; {said}" if name in failures else said
