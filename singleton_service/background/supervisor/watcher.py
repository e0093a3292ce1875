"""Waits for Python files to change."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import watchfiles

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("singleton_service.supervisor")

_SETTLES_MS = 400
_SHOWN = 3


class Watcher:
    """A thread that calls back when files below a directory have changed, saved a moment ago all of them.

    Args:
        directory: what lies in it, but for environments, caches and the like.
        on_change: is called by the thread.
    """

    def __init__(self, directory: Path, on_change: Callable[[], object]) -> None:
        self._directory = directory
        self._on_change = on_change
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="supervisor (watcher)", daemon=True)
        # It says so each time, and so do we.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        self._thread.join()

    def _main(self) -> None:
        only_python = watchfiles.PythonFilter()
        changes = watchfiles.watch(
            self._directory,
            watch_filter=only_python,
            debounce=_SETTLES_MS,
            stop_event=self._stopping,
            rust_timeout=200,
            raise_interrupt=False,
        )
        for changed in changes:
            names = sorted({_name(path, self._directory) for _, path in changed})
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            logger.info("%s%s changed: starting anew", ", ".join(names[:_SHOWN]), more)
            self._on_change()


def _name(path: str, directory: Path) -> str:
    return str(Path(path).relative_to(directory)) if Path(path).is_relative_to(directory) else path
