"""Which task the calling code belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lease import Lease

# Set by the worker around a handler. Its coroutines have it, too, and so have threads that run in its context, as those
# of asyncio.to_thread do.
running_lease: ContextVar[Lease | None] = ContextVar("singleton_service_running_lease", default=None)

# The same for a handler that does many at once.
running_batch: ContextVar[tuple[Lease, ...]] = ContextVar("singleton_service_running_batch", default=())
