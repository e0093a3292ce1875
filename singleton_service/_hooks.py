"""What the container does with the hooks and methods a service class brings along."""

from __future__ import annotations

import functools
from types import FunctionType

from ._operations import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["adopt", "is_async", "is_awaitable", "is_default"]

_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself takes longer to import than all of this
HOOKS = ("initialize", "ping", "shutdown")

_noticed: set[tuple[str, str]] = set()  # module and name of services whose hook was called directly


def adopt(cls: Service) -> None:
    """Check the methods of a new service class, and watch its ``initialize`` for direct calls.

    Raises:
        TypeError: A hook or a guarded method is not a class method.
    """
    for name, member in tuple(vars(cls).items()):
        bare = member.__func__ if isinstance(member, staticmethod) else member
        is_guarded = isinstance(bare, FunctionType) and getattr(bare, "_guarded", False)
        if is_guarded or (name in HOOKS and isinstance(member, FunctionType)):
            raise TypeError(
                f"{cls.__name__}.{name} must be a class method, since a service has no instances: "
                f"put @classmethod above {'@guarded' if is_guarded else 'it'}."
            )
    own = vars(cls).get("initialize")
    if isinstance(own, classmethod) and isinstance(own.__func__, FunctionType):
        cls.initialize = classmethod(_watched(own.__func__))  # type: ignore[method-assign, assignment]


def is_async(function: Any) -> bool:
    """Tell whether calling *function* gives a coroutine, as far as one can see beforehand."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return bool(getattr(code, "co_flags", 0) & _CO_COROUTINE)


def is_awaitable(thing: object) -> bool:
    return hasattr(type(thing), "__await__")


def is_default(service: Service, hook: str) -> bool:
    """Tell whether *service* leaves this hook as BaseService has it, so that it need not be called."""
    for base in service.__mro__:
        if hook in vars(base):
            return base.__module__ == "singleton_service._service"
    return False


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    if is_async(function):

        @functools.wraps(function)
        async def initialize_async(cls: Service, *args: Any, **kwargs: Any) -> Any:
            _notice_direct_call(cls)
            return await function(cls, *args, **kwargs)

        return initialize_async

    @functools.wraps(function)
    def initialize(cls: Service, *args: Any, **kwargs: Any) -> Any:
        _notice_direct_call(cls)
        return function(cls, *args, **kwargs)

    return initialize


def _notice_direct_call(cls: Service) -> None:
    operation = active()
    if operation is not None and operation.service is cls:
        return
    name = (cls.__module__, cls.__qualname__)
    if name in _noticed:
        return
    _noticed.add(name)
    from ._log import logger  # noqa: PLC0415 - logging is loaded when there is something to say

    logger().warning(
        "%s.initialize() was called directly: it ran, but nothing is marked as started, and the next guarded "
        "call runs it again. Call start(%s), or just a guarded method.",
        cls.__name__,
        cls.__name__,
    )
