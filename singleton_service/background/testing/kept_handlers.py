"""Handlers that are registered within a test, and those that a module brought which was imported there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import Handler, HandlerRegistry


class KeptHandlers:
    """The registry as it was.

    What a test registered goes with it. A module is imported once, so what it registers at that moment stays for all
    tests to come, whichever of them happened to be the first to import it.
    """

    def __init__(self, registry: HandlerRegistry) -> None:
        self._registry = registry
        self._before = dict(registry)
        self._modules = set(sys.modules)

    def put_back(self) -> None:
        """Have the registry be as it was, but for what came with new modules."""
        brought = {name: handler for name, handler in self._registry.items() if self._came_with_a_module(handler)}
        self._registry.clear()
        self._registry.update(brought | self._before)

    def _came_with_a_module(self, handler: Handler) -> bool:
        function = handler.function
        is_local = "<locals>" in getattr(function, "__qualname__", "<locals>")
        module = getattr(function, "__module__", None)
        return (
            handler.origin == "application" and not is_local and module in sys.modules and module not in self._modules
        )
