"""CircuitBreaker: stop calling what keeps failing, and find out by one call at a time when it works again."""

from __future__ import annotations

import functools
import math
import time
from contextvars import ContextVar
from enum import StrEnum

from ._hooks import is_async
from ._operations import lock
from .exceptions import CircuitOpenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from ._service import BaseService

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["CircuitBreaker", "CircuitState", "circuits_of"]

# Flags of code objects, as in inspect.
_GENERATOR, _ASYNC_GENERATOR = 0x20, 0x200
_NAMELESS = "a circuit breaker"
_LONGEST_REASON = 200


class CircuitState(StrEnum):
    """What a circuit breaker does with the next call. Plain strings, so that they go into JSON as they are."""

    CLOSED = "closed"
    """It lets it through."""
    OPEN = "open"
    """It refuses it."""
    HALF_OPEN = "half-open"
    """The time of refusing is over: one call is let through, and by its end the circuit closes or opens again."""


class CircuitBreaker:
    """Refuses calls for a while after too many have failed in a row. Any thread, any event loop.

    Make it an attribute of the service that calls what may fail, and put the calls inside::

        class Payments(BaseService):
            breaker = CircuitBreaker(failure_threshold=5, recovery_seconds=30)

            @classmethod
            @guarded
            def charge(cls, cents: int) -> str:
                with cls.breaker:
                    return cls._client.charge(cents)

    ``async with`` does the same, and so does ``@breaker`` below ``@guarded``, on plain and async functions. A refused
    call raises CircuitOpenError. While the circuit is open `health` says that the service is not ok, and workers hold
    the tasks whose handlers require it.

    A call inside a call of the same breaker is part of it: only the outer one counts.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_seconds: float = 30,
        *,
        failure_types: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    ) -> None:
        """Make one that is closed.

        Args:
            failure_threshold: how many failures in a row open it.
            recovery_seconds: how long it then refuses calls, before it lets one through.
            failure_types: the errors that are failures of what is called. Any other Exception shows that it does
                answer; what is none (a cancellation, KeyboardInterrupt) shows nothing.

        Raises:
            ValueError, TypeError: an argument can't be used.
        """
        self.name = _NAMELESS
        self.failure_threshold = _checked_threshold(failure_threshold)
        self.recovery_seconds = _checked_seconds(recovery_seconds)
        self.failure_types = _checked_types(failure_types)
        self._state = CircuitState.CLOSED
        self._failures = 0
        self._last_failure = ""
        # While it is not closed: when the next call is let through, time.monotonic() seconds. Each that is let through
        # puts it off, so that one whose end never comes (interrupted between two instructions) is followed by another.
        self._next_try_at = 0.0
        self._here: ContextVar[_Call | None] = ContextVar("singleton_service_circuit", default=None)

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name == _NAMELESS:
            self.name = f"{owner.__name__}.{name}"

    def __repr__(self) -> str:
        return f"<{self.name}: {self.state.value}>"

    @property
    def state(self) -> CircuitState:
        """What it does with the next call."""
        if self._state is CircuitState.OPEN and self.retry_in_s == 0:
            return CircuitState.HALF_OPEN
        return self._state

    @property
    def retry_in_s(self) -> float:
        """Seconds until a call is let through; 0 when one would be now."""
        if self._state is CircuitState.CLOSED:
            return 0.0
        return max(0.0, self._next_try_at - time.monotonic())

    @property
    def refusal(self) -> str | None:
        """Why calls are refused now, in words; None when they are not."""
        return f"{self.name} is open, after {self._last_failure}" if self.retry_in_s > 0 else None

    def reset(self) -> None:
        """Close it, and forget all failures."""
        with lock:
            self._state = CircuitState.CLOSED
            self._failures = 0

    def __call__(self, function: F) -> F:
        """Put all calls of *function*, plain or async, inside.

        Raises:
            TypeError: *function* is none, or makes a generator.
        """
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if not callable(function) or isinstance(function, (classmethod, staticmethod)):
            raise TypeError(f"{self.name} goes around a function, which {function!r} is not: put it below @classmethod")
        if flags & (_GENERATOR | _ASYNC_GENERATOR):
            raise TypeError(f"{self.name} can't go around a generator: put the calls in it inside `with` the breaker")
        if is_async(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return call_async  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    def __enter__(self) -> Self:
        """Begin a call.

        Raises:
            CircuitOpenError: The circuit is open.
        """
        now = time.monotonic()
        outer = self._here.get()
        # One that has lasted so long may have been lost, as above.
        is_inner = outer is not None and not outer.is_over and now - outer.began_at <= self.recovery_seconds
        is_probe = not is_inner and self._state is not CircuitState.CLOSED and self._admit(now)
        self._here.set(_Call(outer if is_inner else None, now, is_probe=is_probe))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        call = self._here.get()
        if call is not None:
            call.is_over = True
            self._here.set(call.outer)
            if call.outer is not None:
                return
        self._judge(error, is_probe=call is not None and call.is_probe)

    async def __aenter__(self) -> Self:
        """Begin a call.

        Raises:
            CircuitOpenError: The circuit is open.
        """
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _admit(self, now: float) -> bool:
        """Let one call through when it is time; whether it is the one that finds out."""
        with lock:
            if self._state is CircuitState.CLOSED:
                return False
            if now < self._next_try_at:
                raise CircuitOpenError(self.name, self._next_try_at - now, self._last_failure)
            self._state = CircuitState.HALF_OPEN
            self._next_try_at = now + self.recovery_seconds
            return True

    def _judge(self, error: BaseException | None, *, is_probe: bool) -> None:
        if isinstance(error, self.failure_types) and not isinstance(error, CircuitOpenError):
            self._note_failure(error, is_probe=is_probe)
        elif error is None or (isinstance(error, Exception) and not isinstance(error, CircuitOpenError)):
            if is_probe or self._failures:
                self._note_answer(is_probe=is_probe)
        elif is_probe:
            with lock:
                # It was refused further on, or cancelled, and found out nothing: the next call is to.
                self._next_try_at = time.monotonic()

    def _note_failure(self, error: BaseException, *, is_probe: bool) -> None:
        with lock:
            was_closed = self._state is CircuitState.CLOSED
            if not was_closed and not is_probe:
                return  # begun before it opened
            self._failures += 1
            self._last_failure = _told(error)
            if was_closed and self._failures < self.failure_threshold:
                return
            self._state = CircuitState.OPEN
            self._next_try_at = time.monotonic() + self.recovery_seconds
        if was_closed:
            from ._log import logger  # noqa: PLC0415 - logging is loaded when there is something to say

            logger().warning(
                "%s is open: %d calls in a row failed, the last with %s. Calls are refused, but for one every %g s",
                self.name,
                self._failures,
                self._last_failure,
                self.recovery_seconds,
            )

    def _note_answer(self, *, is_probe: bool) -> None:
        with lock:
            was_closed = self._state is CircuitState.CLOSED
            if not was_closed and not is_probe:
                return  # begun before it opened
            self._state = CircuitState.CLOSED
            self._failures = 0
        if not was_closed:
            from ._log import logger  # noqa: PLC0415 - logging is loaded when there is something to say

            logger().info("%s is closed again", self.name)


class _Call:
    """A call that is inside a breaker. *outer*: the one of the same breaker that it is part of."""

    __slots__ = ("began_at", "is_over", "is_probe", "outer")

    def __init__(self, outer: _Call | None, began_at: float, *, is_probe: bool) -> None:
        self.outer = outer
        self.began_at = began_at
        self.is_probe = is_probe
        self.is_over = False


def circuits_of(service: type[BaseService]) -> list[CircuitBreaker]:
    """Return the circuit breakers that are attributes of *service* now."""
    members = {name: member for base in reversed(service.__mro__) for name, member in tuple(vars(base).items())}
    return [member for member in members.values() if isinstance(member, CircuitBreaker)]


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON] if text else type(error).__name__


def _checked_threshold(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"failure_threshold {value!r} is no integer: pass how many failures in a row open it, such as 5"
        )
    if value < 1:
        raise ValueError(f"failure_threshold {value} is out of range: it takes at least 1 failure to open a circuit")
    return value


def _checked_seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"recovery_seconds {value!r} is no number: pass seconds, such as 30")
    if not 0 < value < math.inf:
        raise ValueError(f"recovery_seconds {value} is out of range: pass a positive number of seconds, such as 30")
    return float(value)


def _checked_types(value: object) -> tuple[type[BaseException], ...]:
    kinds = value if isinstance(value, tuple) else (value,)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise TypeError(f"failure_types has {kind!r}, which is no exception class: pass such as ConnectionError")
    return kinds
