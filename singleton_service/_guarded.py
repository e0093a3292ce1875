"""@guarded: the gate in front of a method.

The gate is generated with the very parameters of the method, as dataclasses generate ``__init__``:
passing ``*args, **kwargs`` through would triple the cost of a call. Once the service is started
the gate is one attribute lookup and one call; in front of a plain method, where `_inline` can put
it into the method's own code, just the lookup. It never takes itself out of the way, so a method
that was saved somewhere is guarded after a stop, a fork or an override just the same.
"""

from __future__ import annotations

import functools
import sys
from types import CodeType, FunctionType, MethodType

from ._hooks import is_awaitable
from ._inline import in_front_of
from ._loops import described, running_loop
from ._operations import state
from ._starting import ensure_started, ensure_started_async
from .exceptions import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ._service import BaseService

    F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, ..., Any]")

__all__ = ["guarded"]

# Flags of code objects, as in inspect, which takes longer to import than this whole package.
_VARARGS, _VARKEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x80, 0x200


def guarded(method: F) -> F:
    """Start the service, and all it requires, before the first call of this class method.

    Goes below or above ``@classmethod`` (below is what type checkers understand), on sync and async
    functions, generators, async generators and context managers. Keeps signature and types. Async
    methods start services when awaited, generators and context managers when entered.

    Raises:
        TypeError: Not something that can be a class method.
    """
    if isinstance(method, classmethod):
        return classmethod(_gate(method.__func__))  # type: ignore[return-value]
    if isinstance(method, staticmethod) or not callable(method):
        raise TypeError(
            f"@guarded belongs on a class method, which {method!r} is not: it must know whose services to start. "
            "Put @classmethod above @guarded."
        )
    return _gate(method)  # type: ignore[return-value]


def _gate(function: Callable[..., Any]) -> Callable[..., Any]:
    context_manager = _made_by_contextlib(function)
    if context_manager is not None:
        # Guard what is inside, so that services start when the block is entered.
        return context_manager(_gate(function.__wrapped__))  # type: ignore[attr-defined, no-any-return]
    code = function.__code__ if isinstance(function, FunctionType) else None
    parameters, arguments = _parameters(code)
    first, _, rest = arguments.partition(", ")
    kind = _kind(code)

    def compiled(template: str) -> CodeType:
        return _filled_in(
            template.format(parameters=parameters, arguments=arguments, service=first, rest=rest),
            {
                "<method>": function,
                "<enter>": _enter,
                "<enter_async>": _enter_async,
                "<finish>": _finish,
                "<running_loop>": running_loop,
            },
        )

    inlined = in_front_of(code, compiled(_PROLOGUE)) if code is not None and kind == "sync" else None
    gate = FunctionType(
        inlined or compiled(_TEMPLATES[kind]),
        # The globals of the method itself: what evaluates its annotations looks there.
        getattr(function, "__globals__", globals()),
        closure=getattr(function, "__closure__", None) if inlined is not None else None,
    )
    functools.update_wrapper(gate, function)
    if isinstance(function, FunctionType):
        gate.__defaults__ = function.__defaults__
        gate.__kwdefaults__ = function.__kwdefaults__
    gate._guarded = True  # type: ignore[attr-defined]  # public in practice: inspectors look at it
    return gate


def _made_by_contextlib(function: Callable[..., Any]) -> Callable[..., Any] | None:
    contextlib = sys.modules.get("contextlib")  # if nobody has loaded it, nobody has used it
    code = getattr(function, "__code__", None)
    if contextlib is None or code is None or not hasattr(function, "__wrapped__"):
        return None
    for decorator in (contextlib.contextmanager, contextlib.asynccontextmanager):
        if code is decorator(_nothing).__code__:
            return decorator  # type: ignore[no-any-return]
    return None


def _nothing() -> None:
    """Be decorated."""


def _kind(code: CodeType | None) -> str:
    flags = code.co_flags if code is not None else 0
    if flags & _COROUTINE:
        return "async"
    if flags & _ASYNC_GENERATOR:
        return "async generator"
    return "generator" if flags & _GENERATOR else "sync"


def _parameters(code: CodeType | None) -> tuple[str, str]:
    """Return the parameters of *code* as they are declared and as they are passed on."""
    if code is None or code.co_argcount == 0:
        return "cls, /, *args, **kwargs", "cls, *args, **kwargs"
    names = code.co_varnames
    positional, keywords = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    declared = list(names[:positional])
    passed = list(names[:positional])
    if code.co_posonlyargcount:
        declared.insert(code.co_posonlyargcount, "/")
    extra = keywords
    if code.co_flags & _VARARGS:
        declared.append(f"*{names[extra]}")
        passed.append(f"*{names[extra]}")
        extra += 1
    elif code.co_kwonlyargcount:
        declared.append("*")
    declared += names[positional:keywords]
    passed += [f"{name}={name}" for name in names[positional:keywords]]
    if code.co_flags & _VARKEYWORDS:
        declared.append(f"**{names[extra]}")
        passed.append(f"**{names[extra]}")
    return ", ".join(declared), ", ".join(passed)


def _filled_in(source: str, values: dict[str, Any]) -> CodeType:
    """Compile the function in *source*, with *values* in place of the strings that name them.

    Calling a constant spares each call the way to a variable, and costs the compiler's surprise
    that a string is called.
    """
    code = _compiled(source)
    return code.replace(
        co_consts=tuple(values.get(const, const) if type(const) is str else const for const in code.co_consts)
    )


@functools.cache
def _compiled(source: str) -> CodeType:
    import warnings  # noqa: PLC0415 - here alone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        module = compile(source, "<@guarded>", "exec")
    return next(const for const in module.co_consts if isinstance(const, CodeType))


# "<enter>" gives what to call once the service is up: the method itself, or that of an override.
_PROLOGUE = """
def guard({parameters}):
    if not {service}._initialized:
        return "<enter>"({service}, "<method>")({rest})
"""
_TEMPLATES = {
    "sync": f"""{_PROLOGUE}
    return "<method>"({{arguments}})
""",
    "async": """
async def guard({parameters}):
    if {service}._initialized and ({service}._home is None or {service}._home is "<running_loop>"()):
        return await "<method>"({arguments})
    return await "<finish>"((await "<enter_async>"({service}, "<method>"))({rest}))
""",
    "generator": """
def guard({parameters}):
    if {service}._initialized:
        return (yield from "<method>"({arguments}))
    return (yield from "<enter>"({service}, "<method>")({rest}))
""",
    # An async generator has no `yield from`: what is sent and thrown in is handed on by hand.
    "async generator": """
async def guard({parameters}):
    if {service}._initialized and ({service}._home is None or {service}._home is "<running_loop>"()):
        _inner = "<method>"({arguments})
    else:
        _inner = (await "<enter_async>"({service}, "<method>"))({rest})
    try:
        _item = await _inner.__anext__()
        while True:
            try:
                _sent = yield _item
            except GeneratorExit:
                raise
            except BaseException as _thrown:
                _item = await _inner.athrow(_thrown)
            else:
                _item = await _inner.asend(_sent)
    except StopAsyncIteration:
        return
    finally:
        await _inner.aclose()
""",
}


def _enter(service: type[BaseService], method: Callable[..., Any]) -> Callable[..., Any]:
    """Start *service*. Return *method* bound to it, or the one of its override."""
    if service in state.overrides:
        return _in_stand_in(service, method)
    ensure_started((service,))
    return MethodType(method, service)


async def _enter_async(service: type[BaseService], method: Callable[..., Any]) -> Callable[..., Any]:
    if service in state.overrides:
        return _in_stand_in(service, method)
    if not service._initialized:
        await ensure_started_async((service,))
    home, here = service._home, running_loop()
    if home is not None and home is not here:
        raise ServiceError(
            f"{service.__name__} was started on {described(home)} and is now used from {described(here)}: what its "
            "async hooks opened belongs to the first. Use it from there; or stop() it first, so that it starts "
            "anew here; "
            f"or keep it within one loop with `async with running({service.__name__}):`."
        )
    return MethodType(method, service)


def _in_stand_in(service: type[BaseService], method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the override's method of the name that *method* has in *service*."""
    for base in service.__mro__:
        for name, member in vars(base).items():
            function = getattr(member, "__func__", None)
            while function is not None:
                if function is method:
                    return getattr(state.overrides[service], name)  # type: ignore[no-any-return]
                function = getattr(function, "__wrapped__", None)
    return getattr(state.overrides[service], method.__name__)  # type: ignore[no-any-return]


async def _finish(answer: Any) -> Any:
    """Await what an override returned, if it is to be awaited: a fake may well be plain."""
    return await answer if is_awaitable(answer) else answer
