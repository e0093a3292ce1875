"""What a supervisor is asked to run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """A command, and how many processes of it there shall be.

    Attributes:
        name: what it is called in logs; its processes are `name 1`, `name 2`, ... if there are several.
        command: how to start it. What comes after it is `--line` and the number of a descriptor, for `Supervised`.
        number: of processes.
        may_end: whether a process that ends by itself with 0 or 1 has done its part.
        is_alone: whether two must not be there at once, for they want the same port, say.
    """

    name: str
    command: tuple[str, ...]
    number: int = 1
    may_end: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """When a process has served long enough; None for never.

    Attributes:
        tasks: attempts at tasks that it has ended.
        memory_mb: what it has in RAM, MB (10^6 bytes).
    """

    tasks: int | None = None
    memory_mb: float | None = None
