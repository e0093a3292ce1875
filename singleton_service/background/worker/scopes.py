"""What is entered before a handler and closed after it, whatever becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .registering import register
from .resources import check_context_manager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager

    Scope = Callable[[], AbstractContextManager[object]]

S = TypeVar("S", bound="Scope")
T = TypeVar("T")

SCOPES: list[Scope] = []


def task_scope(scope: S) -> S:
    """Have each handler called within *scope*, a function that gives a context manager; returns it, as a decorator.

    It is entered before the handler in the thread of the handler, after the scopes that were registered before it, and
    closed after the handler in the reverse order. It sees the error that the handler raised. An error of its own is
    that of the attempt; but it can't turn a failure into a success: swallowed, the error counts all the same. Time
    limits and cancels interrupt the handler, never a scope that opens or closes.

    Raises:
        TypeError: it takes arguments, or is no function for `with`.
    """
    check_context_manager(scope)
    register(SCOPES, scope, takes=())
    return scope


def within(scopes: Sequence[Scope], call: Callable[[], T]) -> T:
    """Return what *call* gives, called within these scopes."""
    error: BaseException | None = None
    entered: list[AbstractContextManager[object]] = []
    try:
        try:
            _enter(scopes, entered)
            result = call()
        except BaseException as raised:
            error = raised
        error = _leave(entered, error)
        if error is not None:
            raise error
        return result
    finally:
        del error  # its traceback holds this frame


async def within_async(scopes: Sequence[Scope], call: Callable[[], Awaitable[T]]) -> T:
    """Return what awaiting *call()* gives, within these scopes."""
    error: BaseException | None = None
    entered: list[AbstractContextManager[object]] = []
    try:
        try:
            _enter(scopes, entered)
            result = await call()
        except BaseException as raised:
            error = raised
        error = _leave(entered, error)
        if error is not None:
            raise error
        return result
    finally:
        del error


def _enter(scopes: Sequence[Scope], entered: list[AbstractContextManager[object]]) -> None:
    for scope in tuple(scopes):
        manager = scope()
        manager.__enter__()
        entered.append(manager)


def _leave(entered: list[AbstractContextManager[object]], error: BaseException | None) -> BaseException | None:
    while entered:
        error = _after(entered.pop(), error)
    return error


def _after(manager: AbstractContextManager[object], error: BaseException | None) -> BaseException | None:
    """Close a scope, and return the error of the attempt as it is then."""
    # No ExitStack: each scope sees the error, whatever those within it did with it.
    trace = None if error is None else error.__traceback__
    try:
        manager.__exit__(None if error is None else type(error), error, trace)
    except BaseException as raised:
        if raised is not error:
            return raised
    if error is not None:
        error.__traceback__ = trace  # without its way through a scope that swallowed it
    return error
