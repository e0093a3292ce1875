"""One function's code in front of another's, so that the two cost one call.

For CPython 3.11 to 3.13, whose byte code is what it is here; elsewhere, and for code that is out of
the ordinary, `in_front_of` says no and the caller does without. The layouts are those of
``Objects/exception_handling_notes.txt`` and ``Objects/locations.md`` in CPython's sources.
"""

from __future__ import annotations

import sys
from opcode import opmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

__all__ = ["in_front_of"]

_IS_KNOWN = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 13)
_LAST_ARGUMENT = 255  # of one instruction; beyond that it takes two, and jumps would have to be counted anew
_CACHE, _RESUME, _EXTENDED = opmap["CACHE"], opmap["RESUME"], opmap["EXTENDED_ARG"]
_TAKES_CONSTANT = {opmap["LOAD_CONST"], opmap.get("KW_NAMES", opmap["LOAD_CONST"])}
_LOAD_ATTR = opmap["LOAD_ATTR"]
_NAME_SHIFT = 1 if sys.version_info >= (3, 12) else 0  # the lowest bit of LOAD_ATTR's argument got another meaning
# What `return None` at the end of a function compiles to.
_RETURN_NONE = [opmap["RETURN_CONST"]] if "RETURN_CONST" in opmap else [opmap["LOAD_CONST"], opmap["RETURN_VALUE"]]
_WITHOUT_COLUMNS = 13  # kind of an entry in a table of lines; followed by the difference to the line before
_VARARGS, _VARKEYWORDS, _NOT_PLAIN = 0x04, 0x08, 0x20 | 0x80 | 0x200


def in_front_of(code: CodeType, prologue: CodeType) -> CodeType | None:
    """Return *code* with what *prologue* does before it, or None where that is beyond us.

    Args:
        code: Of a plain function: no generator, no coroutine.
        prologue: Of a plain function with the same parameters, that returns early or falls off its end.
            It reads its parameters, constants and attributes, and has no variables of its own.
    """
    parameters = _parameters(code)
    if not _IS_KNOWN or code.co_flags & _NOT_PLAIN or prologue.co_varnames != parameters:
        return None
    if set(parameters) & set(code.co_cellvars):
        return None  # they are boxed before the prologue would read them
    added = _moved(prologue, len(code.co_consts), len(code.co_names))
    begin = next((n for n in range(0, len(code.co_code), 2) if code.co_code[n] == _RESUME), None)
    if added is None or begin is None:
        return None
    begin += 2
    lines = _entries_for(code.co_linetable, begin // 2)
    if lines is None:
        return None
    return code.replace(
        co_code=code.co_code[:begin] + added + code.co_code[begin:],
        co_consts=code.co_consts + prologue.co_consts,
        co_names=code.co_names + prologue.co_names,
        co_stacksize=max(code.co_stacksize, prologue.co_stacksize),
        co_linetable=code.co_linetable[:lines] + _same_line(len(added) // 2) + code.co_linetable[lines:],
        co_exceptiontable=_later(code.co_exceptiontable, begin // 2, len(added) // 2),
    )


def _parameters(code: CodeType) -> tuple[str, ...]:
    extra = bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + extra]


def _moved(prologue: CodeType, constants: int, names: int) -> bytes | None:
    """Return what *prologue* does after its RESUME and before its end, for use behind so many constants and names."""
    moved = bytearray(prologue.co_code[2 : -2 * len(_RETURN_NONE)])
    if prologue.co_code[0] != _RESUME or list(prologue.co_code[-2 * len(_RETURN_NONE) :: 2]) != _RETURN_NONE:
        return None
    for n in range(0, len(moved), 2):
        shift = 0
        if moved[n] == _EXTENDED:
            return None
        if moved[n] in _TAKES_CONSTANT:
            shift = constants
        elif moved[n] == _LOAD_ATTR:
            shift = names << _NAME_SHIFT
        if moved[n + 1] + shift > _LAST_ARGUMENT:
            return None
        if moved[n] != _CACHE:
            moved[n + 1] += shift
    return bytes(moved)


def _entries_for(lines: bytes, units: int) -> int | None:
    """Return how many bytes of the table of *lines* cover that many code *units*, if some entries do just that."""
    covered = position = 0
    while covered < units and position < len(lines):
        covered += (lines[position] & 7) + 1
        position += 1
        while position < len(lines) and not lines[position] & 0x80:
            position += 1
    return position if covered == units else None


def _same_line(units: int) -> bytes:
    """Return entries that put *units* of code on the line of what is before them: at most eight each."""
    table = bytearray()
    for first in range(0, units, 8):
        table += bytes((0x80 | _WITHOUT_COLUMNS << 3 | min(8, units - first) - 1, 0))
    return bytes(table)


def _later(table: bytes, begin: int, units: int) -> bytes:
    """Return a *table* of exception handlers for code that has *units* more from *begin* on."""
    numbers = _numbers(table)
    moved = bytearray()
    for start, length, target, depth in zip(numbers, numbers, numbers, numbers, strict=True):
        start += units if start >= begin else 0  # noqa: PLW2901 - the moved one
        target += units if target >= begin else 0  # noqa: PLW2901 - the moved one
        moved += _written((start, length, target, depth))
    return bytes(moved)


def _numbers(table: bytes) -> Iterator[int]:
    """Read numbers of six bits a byte, the highest first; bit 6 says that there are more."""
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            yield number
            number = 0


def _written(entry: Iterable[int]) -> bytes:
    """Write one entry in the manner that `_numbers` reads; bit 7 marks its first byte."""
    written = bytearray()
    for number in entry:
        digits = [number & 63]
        while number := number >> 6:
            digits.append(number & 63 | 64)
        written += bytes(reversed(digits))
    written[0] |= 0x80
    return bytes(written)
