"""`@guarded` for services that live on the queue: when its server is away, they say so in its own words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from singleton_service import guarded as container_guarded
from singleton_service.exceptions import ServiceInitializationError

from .errors import QueueUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Start what is needed before the call, as the container's `@guarded` does.

    Raises:
        QueueUnavailableError: instead of ServiceInitializationError, when the reason is that the server is away.
    """
    gated = container_guarded(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return gated(*args, **kwargs)
        except ServiceInitializationError as error:
            raise find_unavailable(error) or error from error.__cause__

    return call


def find_unavailable(error: BaseException | None) -> QueueUnavailableError | None:
    """Return the QueueUnavailableError behind a failed start, if that is what it was."""
    while error is not None and not isinstance(error, QueueUnavailableError):
        error = error.__cause__
    return error
