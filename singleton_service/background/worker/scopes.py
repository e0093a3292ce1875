"""What is entered before a handler and closed after it, whatever becomes of it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .registering import name_of, register
from .resource import check_context_manager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    Scope = Callable[[], AbstractContextManager[object]]
    AsyncScope = Callable[[], AbstractAsyncContextManager[object]]

S = TypeVar("S", bound="Scope")
A = TypeVar("A", bound="AsyncScope")
T = TypeVar("T")

# In the order in which they are entered.
AROUND_FUNCTIONS: list[Scope] = []
AROUND_COROUTINES: list[Scope | AsyncScope] = []


@overload
def task_scope(scope: S) -> S: ...
@overload
def task_scope(scope: A) -> A: ...
@overload
def task_scope(*, coroutines: bool) -> Callable[[S], S]: ...
def task_scope(scope: Any = None, *, coroutines: bool = True) -> Any:
    """Have each handler called within *scope*, a function that gives a context manager; returns it, as a decorator.

    It is entered before the handler in the thread of the handler, after the scopes that were registered before it, and
    closed after the handler in the reverse order. It sees the error that the handler raised. An error of its own is
    that of the attempt; but it can't turn a failure into a success: swallowed, the error counts all the same. Time
    limits and cancels interrupt the handler, never a scope that opens or closes.

    A plain one is for all handlers; around a coroutine it is entered and closed on the event loop, and must not block
    that. An async one, such as a function with `@contextlib.asynccontextmanager`, is for coroutines alone.

    Args:
        scope: takes no arguments; `current_task()` tells it which task it is.
        coroutines: False keeps a plain one from coroutines: `@task_scope(coroutines=False)`.

    Raises:
        TypeError: it takes arguments, or is no function for `with` or `async with`.
    """
    if scope is None:
        return lambda plain: _add(plain, coroutines=coroutines)
    return _add(scope, coroutines=coroutines)


def _add(scope: Any, *, coroutines: bool) -> Any:
    is_async = _is_async(scope)
    check_context_manager(scope, is_async=is_async)
    if is_async and not coroutines:
        raise TypeError(f"{name_of(scope)} is async, and so for coroutines alone: leave coroutines=False out")
    if not is_async:
        register(AROUND_FUNCTIONS, scope, takes=())
    if coroutines:
        register(AROUND_COROUTINES, scope, takes=())
    return scope


def _is_async(scope: object) -> bool:
    if isinstance(scope, type):
        return hasattr(scope, "__aenter__") and not hasattr(scope, "__enter__")
    return callable(scope) and inspect.isasyncgenfunction(inspect.unwrap(scope))


def within(scopes: Sequence[Scope], call: Callable[[], T]) -> T:
    """Return what *call* gives, called within these scopes."""
    error: BaseException | None = None
    entered: list[AbstractContextManager[object]] = []
    try:
        try:
            for scope in tuple(scopes):
                manager = scope()
                manager.__enter__()
                entered.append(manager)
            result = call()
        except BaseException as raised:
            error = raised
        while entered:
            error = _closed(entered.pop(), error)
        if error is not None:
            raise error
        return result
    finally:
        del error  # its traceback holds this frame


async def within_async(scopes: Sequence[Scope | AsyncScope], call: Callable[[], Awaitable[T]]) -> T:
    """Return what awaiting *call* gives, within these scopes."""
    error: BaseException | None = None
    entered: list[Any] = []
    try:
        try:
            for scope in tuple(scopes):
                manager: Any = scope()
                if hasattr(manager, "__aenter__"):
                    await manager.__aenter__()
                else:
                    manager.__enter__()
                entered.append(manager)
            result = await call()
        except BaseException as raised:
            error = raised
        while entered:
            manager = entered.pop()
            error = await _aclosed(manager, error) if hasattr(manager, "__aexit__") else _closed(manager, error)
        if error is not None:
            raise error
        return result
    finally:
        del error


# No ExitStack: each scope sees the error, whatever those within it did with it.


def _closed(manager: AbstractContextManager[object], error: BaseException | None) -> BaseException | None:
    """Close a scope, and return the error of the attempt as it is then."""
    trace = None if error is None else error.__traceback__
    try:
        manager.__exit__(None if error is None else type(error), error, trace)
    except BaseException as raised:
        if raised is not error:
            return raised
    return _as_it_was(error, trace)


async def _aclosed(manager: AbstractAsyncContextManager[object], error: BaseException | None) -> BaseException | None:
    trace = None if error is None else error.__traceback__
    try:
        await manager.__aexit__(None if error is None else type(error), error, trace)
    except BaseException as raised:
        if raised is not error:
            return raised
    return _as_it_was(error, trace)


def _as_it_was(error: BaseException | None, trace: TracebackType | None) -> BaseException | None:
    if error is not None:
        error.__traceback__ = trace  # without its way through a scope that swallowed it
    return error
