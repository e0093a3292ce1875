"""@requires: writes edges down, starts nothing."""

from __future__ import annotations

from ._service import BaseService
from .exceptions import SelfDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard, TypeVar

    S = TypeVar("S", bound=type[BaseService])

__all__ = ["dependencies_of", "is_service", "requires"]


def requires(*services: type[BaseService]) -> Callable[[S], S]:
    """Declare that a service needs *services* to be started before it.

    Several uses on one class add up, and a subclass inherits what its bases require. Order does
    not matter for correctness; among services that are independent of each other it decides who
    starts first.

    Raises:
        TypeError: An argument, or the decorated thing, is not a service class.
        SelfDependencyError: The decorated service is among its own dependencies.
    """
    for service in services:
        _check_is_service(service, "@requires takes service classes")

    def declare(cls: S) -> S:
        _check_is_service(cls, "@requires belongs on a service class")
        if cls in services:
            raise SelfDependencyError(cls)
        cls._declared = tuple(dict.fromkeys((*cls._declared, *services)))
        cls._dependencies = {*cls._dependencies, *services}
        return cls

    return declare


def dependencies_of(service: type[BaseService]) -> tuple[type[BaseService], ...]:
    """Return what *service* requires, in a stable order.

    ``_dependencies`` has the last word, since test code sets it.
    """
    declared, current = service._declared, service._dependencies
    if len(declared) == len(current) and all(needed in current for needed in declared):
        return declared
    return tuple(sorted(current, key=lambda needed: (needed.__module__, needed.__qualname__)))


def is_service(thing: object) -> TypeGuard[type[BaseService]]:
    """Tell whether *thing* is a service class, which BaseService itself is not."""
    return isinstance(thing, type) and issubclass(thing, BaseService) and thing is not BaseService


def _check_is_service(thing: object, rule: str) -> None:
    if not is_service(thing):
        shown = thing.__name__ if isinstance(thing, type) else repr(thing)
        raise TypeError(f"{rule}, and {shown} is none. Derive it from BaseService.")
