"""Which function does which task: the registry of this process."""

from __future__ import annotations

import inspect
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from singleton_service._requires import is_service

from .checks import check_name
from .elements import element_form_of
from .importable import place_of
from .payloads import Form, form_of
from .policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singleton_service import BaseService

    from .policy import Kind


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that does the tasks of one name."""

    name: str
    function: Callable[..., Any]
    policy: Policy = field(default_factory=Policy)
    origin: Literal["application", "sample", "built-in"] = "application"
    # How the function takes its payload; None is as a dict.
    form: Form | None = field(init=False, repr=False, compare=False)
    # What must be started before it is called.
    service: type[BaseService] | None = field(init=False, repr=False, compare=False)
    is_coroutine: bool = field(init=False, repr=False, compare=False)
    # Where it runs.
    kind: Kind = field(init=False, repr=False, compare=False)
    # What it waits with for a place there: all tasks of its kind; those of a batch with each other.
    lane: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """See what kind of function it is.

        Raises:
            ValueError: it can't run where its policy says.
            TypeError: it is to run in a process of its own, which could not import it; or it is for batches, and can't
                take a list of payloads.
        """
        form = form_of if self.policy.batch is None else element_form_of
        object.__setattr__(self, "form", form(self.name, self.function) if callable(self.function) else None)
        owner = getattr(self.function, "__self__", None)
        is_guarded = is_service(owner) and getattr(self.function, "_guarded", False)
        object.__setattr__(self, "service", owner if is_guarded else None)
        is_coroutine = _is_coroutine_function(self.function)
        if is_coroutine and self.policy.execution == "thread":
            raise ValueError(
                f"task {self.name!r} can't have execution='thread': its function is a coroutine, and those run on the "
                "event loop. Leave execution out, or make it a plain function that calls asyncio.run()"
            )
        if self.policy.execution == "process" and callable(self.function):
            place_of(self.name, self.function)
        object.__setattr__(self, "is_coroutine", is_coroutine)
        kind = self.policy.execution or ("async" if is_coroutine else "thread")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "lane", kind if self.policy.batch is None else f"{kind} batches of {self.name}")

    def gather(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Return the payload that a call of the function with these arguments means, not yet checked.

        Raises:
            TypeError: it does not take these arguments.
        """
        if self.form is not None:
            return self.form.gather(args, kwargs)
        if args:
            raise TypeError(f"task {self.name!r} takes a dict: pass what is in it by name, such as recipient='a@b.c'")
        return kwargs


class HandlerRegistry(dict[str, Handler]):
    """Handlers by task name. The last registration wins; the first real one removes the samples."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._watchers: list[Callable[[Handler], object]] = []

    def register(self, handler: Handler) -> None:
        """Add a handler, and tell who watches."""
        check_name(handler.name)
        if not callable(handler.function):
            raise TypeError(
                f"handler for task {handler.name!r} is {handler.function!r}, which can't be called: "
                "pass a function that takes the payload"
            )
        with self._lock:
            if handler.origin == "application":
                for name in [name for name, known in self.items() if known.origin == "sample"]:
                    del self[name]
            self[handler.name] = handler
        for watcher in tuple(self._watchers):
            watcher(handler)

    def claim(self, handler: Handler) -> None:
        """Add a handler whose name is its own.

        Raises:
            ValueError: another thing has that name already.
        """
        earlier = self.get(handler.name)
        if earlier and earlier.origin == "application" and not _same_place(earlier.function, handler.function):
            raise ValueError(
                f"two functions are called task {handler.name!r}: {_place(earlier.function)} and "
                f"{_place(handler.function)}; give one of them another name: @task(name=...), or name = ... in a class"
            )
        self.register(handler)

    def watch(self, watcher: Callable[[Handler], object]) -> None:
        """Have *watcher* called with every handler that is registered from now on, until `unwatch`."""
        with self._lock:
            if watcher not in self._watchers:
                self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[Handler], object]) -> None:
        """Call *watcher* no more. Harmless when it is not called anyway."""
        with self._lock:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    @property
    def is_bare(self) -> bool:
        """Whether the application has registered nothing of its own."""
        return not any(handler.origin == "application" for handler in self.values())


registry = HandlerRegistry()
"""The handlers of this process."""

# Whoever watches has threads and locks of the parent's; a forked child starts its own.
os.register_at_fork(after_in_child=registry._watchers.clear)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    # What a decorator made of one counts as what it is: it may run the coroutine itself.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - which one it is, not whether it has one


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    # A module that is reloaded, or run as __main__ and imported, defines the same function again.
    return _code(one) is not None and _code(one) == _code(other)


def _code(function: Callable[..., Any]) -> tuple[str, int, str] | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    # Two handler classes may have inherited the same method.
    owner = getattr(getattr(function, "__self__", None), "__qualname__", "")
    return (code.co_filename, code.co_firstlineno, owner) if code else None


def _place(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"
