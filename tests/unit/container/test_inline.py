"""The guard's check stands in the method's own code, and everything else there is as it was."""

from __future__ import annotations

import argparse
import ast
import dis
import json.decoder
import sys
import textwrap
import traceback
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService, guarded
from singleton_service._inline import in_front_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STANDARD_LIBRARY = (argparse, ast, json.decoder, textwrap, traceback)


def functions_of(module: ModuleType) -> Iterator[FunctionType]:
    for thing in vars(module).values():
        members = vars(thing).values() if isinstance(thing, type) else (thing,)
        for member in members:
            if isinstance(member, FunctionType) and member.__module__ == module.__name__:
                yield member


def prologue_for(code: CodeType) -> CodeType:
    """Compile a check that reads the first parameter and returns early."""
    names = code.co_varnames
    declared = [*names[: code.co_argcount]]
    if code.co_posonlyargcount:
        declared.insert(code.co_posonlyargcount, "/")
    extra = code.co_argcount + code.co_kwonlyargcount
    has_rest = bool(code.co_flags & 0x04)
    if has_rest:
        declared.append("*" + names[extra])
    elif code.co_kwonlyargcount:
        declared.append("*")
    declared += names[code.co_argcount : extra]
    if code.co_flags & 0x08:
        declared.append("**" + names[extra + has_rest])
    first = names[0] if code.co_argcount else "None"
    scope: dict[str, Any] = {}
    text = f"def check({', '.join(declared)}):\n if not {first}.is_up:\n  return 'first'.join(('second', {first}))"
    exec(text, scope)
    compiled: CodeType = scope["check"].__code__
    return compiled


def told(code: CodeType) -> list[tuple[str, Any, Any]]:
    """Return instructions as a reader sees them: with what they mean, and where they stand in the source."""
    return [
        (one.opname, None if one.opcode in dis.hasjrel else one.argval, one.positions)
        for one in dis.get_instructions(code)
        if one.opname != "EXTENDED_ARG"
    ]


@pytest.mark.parametrize("module", STANDARD_LIBRARY, ids=lambda module: str(module.__name__))
def test_behind_the_check_a_function_has_its_instructions_lines_and_handlers(module: ModuleType) -> None:
    count = 0
    for function in functions_of(module):
        code = function.__code__
        joined = in_front_of(code, prologue_for(code))
        if joined is None:
            continue
        count += 1
        added = (len(joined.co_code) - len(code.co_code)) // 2
        before, after = told(code), told(joined)
        begin = next(n for n, (name, _, _) in enumerate(before) if name == "RESUME") + 1
        rest = len(before) - begin
        assert after[:begin] == before[:begin]
        assert after[len(after) - rest :] == before[begin:], function
        offset = 2 * begin
        moved = [
            tuple(at + 2 * added * (at >= offset) for at in (entry.start, entry.end, entry.target))
            for entry in dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
        ]
        now = [(entry.start, entry.end, entry.target) for entry in dis.Bytecode(joined).exception_entries]  # type: ignore[attr-defined]
        assert now == moved, function
        jumps = [one.argval for one in dis.get_instructions(code) if one.opcode in dis.hasjrel]
        now_jumps = [one.argval for one in dis.get_instructions(joined) if one.opcode in dis.hasjrel]
        assert now_jumps[len(now_jumps) - len(jumps) :] == [at + 2 * added for at in jumps], function
    assert count > 3


def test_a_plain_method_is_one_function_with_its_guard() -> None:
    class Service(BaseService):
        @classmethod
        @guarded
        def caller(cls) -> FrameType | None:
            return sys._getframe().f_back

    assert Service.caller() is not sys._getframe()  # that call went through the start
    assert Service.caller() is sys._getframe()


def test_a_method_with_handlers_closures_and_defaults_does_what_it_did() -> None:
    outside = [1]

    class Service(BaseService):
        @classmethod
        @guarded
        def careful(cls, key: str, /, *rest: int, base: int = 2, **more: int) -> tuple[Any, ...]:
            try:
                with pytest.raises(ZeroDivisionError):
                    raise ZeroDivisionError
                found = {"a": 1}[key]
            except KeyError as error:
                found = len(str(error))
            finally:
                outside.append(base)
            return found, sum(n + base for n in rest), more, cls.__name__

        @classmethod
        @guarded
        def boxed(cls, value: int) -> Callable[[], int]:
            return lambda: value + len(cls.__name__)

    for _ in range(3):
        assert Service.careful("a", 1, 2, base=5, c=6) == (1, 13, {"c": 6}, "Service")
        assert Service.careful("b", 1) == (3, 3, {}, "Service")
        assert Service.boxed(1)() == 8
    assert outside == [1, *(5, 2) * 3]
    with pytest.raises(TypeError, match=r"careful\(\) missing 1 required positional argument: 'key'"):
        Service.careful()  # type: ignore[call-arg]


def test_a_traceback_shows_the_lines_of_the_method_before_and_after_the_start() -> None:
    class Service(BaseService):
        @classmethod
        @guarded
        def fail(cls) -> None:
            word = "no"
            raise ValueError(word)

    places = set()
    for _ in range(2):
        with pytest.raises(ValueError, match="no") as caught:
            Service.fail()
        last = caught.traceback[-1]
        places.add((last.name, last.lineno, str(last.statement).strip()))
    assert {(name, text) for name, _, text in places} == {("fail", "raise ValueError(word)")}
    assert len(places) == 1


def test_code_with_hundreds_of_constants_is_guarded_by_a_function_around_it() -> None:
    lines = "\n".join(f"    total += {n}.5" for n in range(300))
    scope: dict[str, Any] = {}
    exec(f"def total(cls):\n    total = 0\n{lines}\n    return total", scope)
    code = scope["total"].__code__
    assert in_front_of(code, prologue_for(code)) is None
    service = type("Service", (BaseService,), {"total": classmethod(guarded(scope["total"]))})
    assert service.total() == sum(n + 0.5 for n in range(300))  # type: ignore[attr-defined]
