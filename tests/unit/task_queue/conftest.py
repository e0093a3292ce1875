from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.handlers import HandlerRegistry, registry

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def handlers() -> Iterator[HandlerRegistry]:
    """The handlers of this process, none to begin with."""
    known = dict(registry)
    registry.clear()
    yield registry
    registry.clear()
    registry.update(known)
