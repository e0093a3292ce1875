from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from singleton_service.background.engine.locks import LockFile

if TYPE_CHECKING:
    from pathlib import Path


def soon() -> float:
    return time.monotonic() + 0.02


def test_many_share_a_lock_and_nobody_is_alone(tmp_path: Path) -> None:
    locks = [LockFile(tmp_path / "lock") for _ in range(3)]

    assert locks[0].share(soon())
    assert locks[1].share(soon())
    assert not locks[2].try_alone()

    for lock in locks:
        lock.close()


def test_a_lock_held_alone_is_not_shared(tmp_path: Path) -> None:
    owner, other = LockFile(tmp_path / "lock"), LockFile(tmp_path / "lock")
    assert owner.try_alone()

    assert not other.try_alone()
    assert not other.share(soon())

    owner.close()
    assert other.share(soon())
    other.close()


def test_closing_twice_closes_nothing_else(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock")
    fd = lock.fd
    lock.close()
    reused = os.open(tmp_path, os.O_RDONLY)
    assert reused == fd

    lock.close()

    os.fstat(reused)
    os.close(reused)


def test_no_other_program_inherits_a_lock(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock")

    assert not os.get_inheritable(lock.fd)
    assert (tmp_path / "lock").stat().st_mode & 0o077 == 0

    lock.close()
