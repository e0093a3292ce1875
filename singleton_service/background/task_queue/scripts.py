"""The Lua scripts: loaded from `lua/`, checked against their headers, called by name.

A script's header is the truth about its keys and arguments. They are used as KEYS.name and ARGV.name; the header says
which numbers these are, and which FIRST_ITEM is (the index of the first repeated item in ARGV), so that Python and Lua
can't drift. Numbers, not locals: every function would have to be given those it uses, with every call of the script.

A line "-- include: names" is replaced by these files. What a script seldom needs, it includes in the branch that does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BATCH = 1000
PRIORITIES = 4

_HEADER = re.compile(r"^-- (keys|args|items): +(.*)$", re.MULTILINE)
_INCLUDE = re.compile(r"^ *-- include: +(.*)\n", re.MULTILINE)
_NAMED = re.compile(r"\b(?:KEYS\.ready\[|(?:KEYS|ARGV)\.\w+|FIRST_ITEM\b)")
_READY = f"ready[{PRIORITIES}]"
_CLOCK = "local TEST_OFFSET_MS = 0"
_FOLDER = Path(__file__).with_name("lua")
_INCLUDES = _FOLDER.joinpath("include")
# The texts of all scripts, by the names that the server has for them.
_texts: dict[bytes, bytes] = {}


class Keys(Protocol):
    """The keys of one slot, by the names that headers use."""

    def named(self, names: tuple[str, ...], /) -> tuple[bytes, ...]:
        """Return the keys of these names, in their order."""


@dataclass(frozen=True, slots=True)
class Script:
    """One verb of the protocol: its text as sent, and what it takes. "ready:1" is the ready list of priority 1."""

    name: str
    text: bytes
    sha: bytes
    keys: tuple[str, ...]
    args: tuple[str, ...]
    items: tuple[str, ...]
    clock_offset_ms: int | str = 0

    def __post_init__(self) -> None:
        """Be known, for a server that has forgotten it."""
        _texts[self.sha] = self.text

    def command(
        self,
        keys: Keys,
        items: Iterable[bytes | str | int] = (),
        /,
        **args: bytes | str | int,
    ) -> tuple[bytes | str | int, ...]:
        """Return the EVALSHA command.

        Raises:
            TypeError: the arguments are not those of the header.
        """
        if len(args) != len(self.args):
            raise TypeError(f"{self.name}.lua takes {self.args}, not {tuple(args)}")
        try:
            given = [args[name] for name in self.args]
        except KeyError as error:
            raise TypeError(f"{self.name}.lua takes {self.args}, not {tuple(args)}") from error
        return (b"EVALSHA", self.sha, len(self.keys), *keys.named(self.keys), *given, *items)


@dataclass(frozen=True, slots=True)
class Scripts:
    """All scripts of the protocol."""

    add: Script
    enqueue: Script
    fetch: Script
    start: Script
    progress: Script
    complete: Script
    retry: Script
    bury: Script
    release: Script
    hold: Script
    heartbeat: Script
    recover: Script
    reconcile: Script
    leave: Script
    status: Script
    browse: Script
    stats: Script
    sweep: Script
    cancel: Script
    revive: Script
    delete: Script
    purge: Script
    pause: Script
    limit: Script
    limit_keys: Script
    # "await" is a word of Python's.
    await_ends: Script

    @property
    def clock_offset_ms(self) -> int | str:
        """How far their clock is ahead of the server's, see `load_scripts`."""
        return self.fetch.clock_offset_ms

    def text_of(self, sha: bytes) -> bytes:
        """Return the text of any script with that SHA, for a server that has forgotten it."""
        return _texts[sha]


class _PackagedScripts(Scripts):
    """Those of the package. Each is read when it is first asked for: a process uses few, and all take 10 ms."""

    __slots__ = ("_clock_offset_ms",)
    _clock_offset_ms: int | str

    def __init__(self, clock_offset_ms: int | str) -> None:
        object.__setattr__(self, "_clock_offset_ms", clock_offset_ms)

    def __getattr__(self, name: str) -> Script:
        """Fill a slot that is empty yet. Two threads may: what they read is the same."""
        if name not in Scripts.__slots__:
            raise AttributeError(name)
        script = read_script(_FOLDER, "await" if name == "await_ends" else name, self._clock_offset_ms)
        object.__setattr__(self, name, script)
        return script


@cache
def load_scripts(clock_offset_ms: int | str = 0) -> Scripts:
    """Return the scripts of the package.

    Args:
        clock_offset_ms: for tests only: how far the scripts' clock is ahead of the server's, a number or Lua that gives
            one. It is compiled into the text, so the scripts of an application have no clock but the server's.
    """
    return _PackagedScripts(clock_offset_ms)


def read_script(folder: Path, name: str, clock_offset_ms: int | str = 0) -> Script:
    """Read one script of a folder. What it includes lies in the folder's own `include`, or in that of the queue's."""
    source = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    header = dict(_HEADER.findall(source))
    declared = header.get("keys", "").split()
    args = tuple(header.get("args", "").split())

    def included(line: re.Match[str]) -> str:
        texts = (_included(folder, include, clock_offset_ms) for include in line[1].split())
        return "".join(_INCLUDE.sub(included, text) for text in texts)

    places = _places(declared, args)

    def numbered(found: re.Match[str]) -> str:
        if found[0] not in places:
            raise ValueError(f"{name}.lua uses {found[0]}, which its header does not declare")
        return places[found[0]]

    text = _NAMED.sub(numbered, _INCLUDE.sub(included, source)).encode()
    # Redis names scripts by SHA-1; nothing is secret here.
    sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
    return Script(name, text, sha, _expanded(declared), args, tuple(header.get("items", "").split()), clock_offset_ms)


def _included(folder: Path, name: str, clock_offset_ms: int | str) -> str:
    own = folder.joinpath("include", f"{name}.lua")
    text = (own if own.is_file() else _INCLUDES.joinpath(f"{name}.lua")).read_text(encoding="utf-8")
    return text.replace(_CLOCK, f"local TEST_OFFSET_MS = {clock_offset_ms}")


def _expanded(declared: Iterable[str]) -> tuple[str, ...]:
    names: list[str] = []
    for name in declared:
        names += [f"ready:{priority}" for priority in range(PRIORITIES)] if name == _READY else [name]
    return tuple(names)


def _places(declared: Iterable[str], args: tuple[str, ...]) -> dict[str, str]:
    """Return what stands for each name in the text that is sent."""
    places = {"FIRST_ITEM": str(len(args) + 1)}
    number = 1
    for name in declared:
        if name == _READY:
            places["KEYS.ready["] = f"KEYS[{number - 1} + "
            number += PRIORITIES
        else:
            places[f"KEYS.{name}"] = f"KEYS[{number}]"
            number += 1
    return places | {f"ARGV.{name}": f"ARGV[{number}]" for number, name in enumerate(args, 1)}
