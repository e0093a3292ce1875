"""Task ids: `<queue>.<uid>`. The uid is made here, by the client, so that a repeated enqueue adds nothing.

uid of our own: a first digit, 9 characters of ms since 1970, 10 of randomness (base 32). The first digit is the
priority and 4, or 8, by which the scripts tell where the task's body lies (lua/include/shelves.lua).
uid from a caller or a schedule: "=" and the name given, the same task for ever.
"""

from __future__ import annotations

import functools
import os
import re

from . import wall_clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_UID = re.compile(r"[0-9ab][0-9a-z]{19}|=[A-Za-z0-9_-]{1,128}")
_GIVEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIME = slice(1, 10)
_RANDOM = 10
# Of each random byte five bits: a character.
_SPELLING = (_ALPHABET * 8).encode()

# Made ahead: asking for it lets other threads have the interpreter each time. No two processes may use the same.
_noises: list[str] = []
_NOISES_AT_ONCE = 64
os.register_at_fork(after_in_child=_noises.clear)

# What is added to the priority: bodies lie with those of the same 32 ms, or of the same 33 s.
_FINE, _COARSE = 4, 8
# From so many in a second on a process's tasks lie together by the finer measure.
_MANY = 256


def new_uid(priority: int) -> str:
    """Make a uid nobody else makes. The time in it is this machine's and decides no more than where its body lies."""
    try:
        noise = _noises.pop()
    except IndexError:
        noise, *more = _new_noises(_NOISES_AT_ONCE)
        _noises.extend(more)
    return _beginning(priority, 1) + noise


def new_uids(priority: int, number: int) -> list[str]:
    """Make many at once, of one time."""
    beginning = _beginning(priority, number)
    return [beginning + noise for noise in _new_noises(number)]


def _new_noises(number: int) -> list[str]:
    noise = os.urandom(_RANDOM * number).translate(_SPELLING).decode()
    return [noise[at : at + _RANDOM] for at in range(0, len(noise), _RANDOM)]


def _beginning(priority: int, number: int) -> str:
    """Return what so many uids made now have in common."""
    ms = wall_clock.now_ms()
    second = ms >> 10
    first = priority + (_FINE if _crowd.has_many(second, number) else _COARSE)
    return f"{_ALPHABET[first]}{_spelled(second)}{_PAIRS[ms & 1023]}"


class _Crowd:
    """Counts the tasks that this process makes. Threads may miscount: either answer is right, one a little slower."""

    __slots__ = ("_made", "_second", "_was_many")

    def __init__(self) -> None:
        self._second, self._made, self._was_many = 0, 0, False

    def has_many(self, second: int, number: int) -> bool:
        """Count so many more, and say whether there are many in this second, or were in the last."""
        if second != self._second:
            self._was_many = self._made >= _MANY and second == self._second + 1
            self._second, self._made = second, 0
        self._made += number
        return self._was_many or self._made >= _MANY


_crowd = _Crowd()


def created_ms_of(uid: str) -> int:
    """Return when a uid of our own was made, ms since 1970 by its maker's clock; 0 for a caller's own."""
    ms = 0
    if not uid.startswith("="):
        for character in uid[_TIME]:
            ms = ms * 32 + _DIGITS.get(character, 0)
    return ms


def given_uid(task_id: object) -> str:
    """Turn a caller's own `task_id` into a uid.

    Raises:
        ValueError: it has characters that an id can't have.
    """
    if not isinstance(task_id, str) or not _GIVEN.fullmatch(task_id):
        raise ValueError(
            f"task_id {task_id!r} is not usable: it takes 1 to 128 of the characters A-Z a-z 0-9 _ -, "
            "for example 'invoice-2024-0042'"
        )
    return f"={task_id}"


def join_id(queue: str, uid: str) -> str:
    """Return the public id of a task."""
    return f"{queue}.{uid}"


def split_id(task_id: object) -> tuple[str, str] | None:
    """Return (queue, uid) of a public id, or None when it can't be one."""
    if not isinstance(task_id, str):
        return None
    queue, _, uid = task_id.rpartition(".")
    return (queue, uid) if is_queue(queue) and is_uid(uid) else None


def is_queue(name: str) -> bool:
    """Whether a queue can have this name."""
    return _QUEUE.fullmatch(name) is not None


def is_uid(uid: str) -> bool:
    """Whether a task can have this uid."""
    return _UID.fullmatch(uid) is not None


def check_queue(queue: object) -> str:
    """Return a queue's name if it is one.

    Raises:
        ValueError: it is not.
    """
    if isinstance(queue, str) and is_queue(queue):
        return queue
    raise ValueError(
        f"queue {queue!r} is not a queue name: it takes 1 to 64 of A-Z a-z 0-9 _ . - and begins with a letter, "
        "a digit or _"
    )


@functools.lru_cache(maxsize=4)
def _spelled(second: int) -> str:
    """Write down all but the last two characters of a time; they stay the same for about a second."""
    pairs = _PAIRS
    first = _ALPHABET[(second >> 30) & 31]
    return f"{first}{pairs[(second >> 20) & 1023]}{pairs[(second >> 10) & 1023]}{pairs[second & 1023]}"
