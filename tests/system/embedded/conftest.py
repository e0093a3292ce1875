from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(__file__).with_name("program.py")


class User:
    """A process with a share in the server of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKS_")}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", PROGRAM, data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment,
        )
        assert self.hear() == "loaded"

    def say(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, words: str) -> str:
        self.say(words)
        return self.hear()

    def open(self) -> User:
        assert self.ask("open") == "opened"
        return self

    def kill(self, signum: int = signal.SIGKILL) -> None:
        self.process.send_signal(signum)

    def leave(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class NewUser(Protocol):
    def __call__(self) -> User: ...


class Home:
    """What can be known about a data directory from outside."""

    program = PROGRAM

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_free(self, lock: str) -> bool:
        try:
            fd = os.open(self.path / lock, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            # Shared, so that looking never keeps a starter from its exclusive lock for long.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(fd)

    def is_asleep(self) -> bool:
        return self.is_free("supervisor.lock") and self.is_free("server.lock")

    @property
    def server(self) -> int:
        text = (self.path / "server.lock").read_text()
        return int(text) if text else 0

    @property
    def supervisor(self) -> int:
        answer = subprocess.run(
            ["ps", "-o", "ppid=", "-p", str(self.server)], capture_output=True, text=True, check=True
        )
        return int(answer.stdout)

    @property
    def starts(self) -> int:
        return (self.path / "server.log").read_text().count("eady to accept connections")

    def wait_until(self, condition: Callable[[], bool], within_s: float = 15.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {within_s} s"
            time.sleep(0.01)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "data")
    yield home
    home.wait_until(home.is_asleep)


@pytest.fixture
def new_user(home: Home) -> Iterator[NewUser]:
    users: list[User] = []

    def make() -> User:
        users.append(User(home.path))
        return users[-1]

    yield make
    for user in users:
        user.leave()
