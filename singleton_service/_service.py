"""BaseService: the class every service derives from, and the three hooks it may define."""

from __future__ import annotations

from . import _hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, ClassVar, Self

__all__ = ["BaseService"]


class BaseService:
    """A service: one per process, never instantiated, its state on the class.

    Derive from it, write the hooks that are needed, each sync or async, and put ``@guarded`` on the
    class methods that need the service to be up::

        @requires(ConfigService)
        class Greeter(BaseService):
            _greeting: ClassVar[str] = ""

            @classmethod
            def initialize(cls) -> None:
                cls._greeting = ConfigService.get("greeting")

            @classmethod
            @guarded
            def greet(cls, name: str) -> str:
                return f"{cls._greeting}, {name}"

    The first guarded call starts the service and everything it requires. State is per class:
    a subclass of a started service is not started.
    """

    # Public in practice: setting it to False forces a new start at the next guarded call.
    _initialized: ClassVar[bool] = False
    # What @requires said, the bases' included. `_declared` keeps the order, which a set forgets.
    _dependencies: ClassVar[set[type[BaseService]]] = set()
    _declared: ClassVar[tuple[type[BaseService], ...]] = ()
    # What was pointed out as a missing @requires, so that it is said once.
    _said_undeclared: ClassVar[set[type[BaseService]]] = set()
    # The event loop the async hooks ran on, while the service is started.
    _home: ClassVar[Any] = None

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """Refuse: a service is its class.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"{cls.__name__} is a service and is not instantiable: there is one per process, and it is the class. "
            f"Call its methods as {cls.__name__}.method(...)."
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class its own state, inherit its bases' dependencies, look at its methods.

        Raises:
            TypeError: A guarded method is not a class method.
        """
        super().__init_subclass__(**kwargs)
        declared: dict[type[BaseService], None] = {}
        for base in reversed(cls.__bases__):
            declared |= dict.fromkeys(getattr(base, "_declared", ()))
        cls._initialized = False
        cls._home = None
        cls._declared = tuple(declared)
        cls._dependencies = set(declared)
        _hooks.adopt(cls)

    @classmethod
    def initialize(cls) -> Awaitable[None] | None:
        """Acquire what the service needs. Called by the container, after all dependencies started.

        Called directly it runs, but marks nothing as started and logs a warning, once.
        """
        return None

    @classmethod
    def ping(cls) -> Awaitable[bool] | bool:
        """Tell whether the service works. Asked after ``initialize`` and by ``health``.

        Should be quick and without side effects. The service counts as started only if this
        returns something true.
        """
        return True

    @classmethod
    def shutdown(cls) -> Awaitable[None] | None:
        """Give back what ``initialize`` acquired. Called by ``stop``, once per start, dependents first."""
        return None

    @classmethod
    def _get_initialization_order(cls) -> list[type[BaseService]]:
        """Return what a first call would start, in order. Kept for code of the earlier container."""
        from ._plan import full_order  # noqa: PLC0415 - the plan imports this module

        return full_order([cls])
