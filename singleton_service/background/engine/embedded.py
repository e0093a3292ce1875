"""Join the server of a data directory, starting it if nobody has."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from singleton_service.background.engine import supervisor
from singleton_service.background.engine.binary import find_python, find_server
from singleton_service.background.engine.diagnosis import failed_start, log_tail
from singleton_service.background.engine.errors import EngineError
from singleton_service.background.engine.locks import LockFile, PrivateFd
from singleton_service.background.engine.private_dir import USERS_LOCK, prepare_data_dir, socket_path_for

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EmbeddedServer"]

_PATIENCE_S: Final = 30.0
_HEAL_PATIENCE_S: Final = 5.0
_FIRST_WAIT_S: Final = 0.002
_LONGEST_WAIT_S: Final = 0.05

# The server outlives the program that started it, and its environment can be read in /proc:
# the program's secrets stay behind.
_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

# The wheel's server allocates with glibc, which keeps only 7 freed pieces of a size at hand and joins and splits all
# others, the more the more tasks wait (benchmarks/depth.py). A batch of a thousand fits into 2,048.
# (https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html)
SERVER_ENVIRONMENT: Final = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=2048"}

_logger = logging.getLogger(__name__)


class EmbeddedServer:
    """This process's share in the server of a data directory; the server lives while anyone has one.

    Thread-safe. Not usable in a child after fork, which joins for itself.
    """

    def __init__(self, data_dir: Path, fsync: str) -> None:
        """Join the server of *data_dir*, or start it; returns when it answers.

        Args:
            data_dir: The directory, created if need be.
            fsync: The server's appendfsync: "always", "no" or "everysec". Where programs of one
                directory differ, "always" wins, else the one that started the server.

        Raises:
            EngineError: The directory cannot be used, or the server does not start.
        """
        prepare_data_dir(data_dir)
        self.data_dir = data_dir
        self.socket_path = socket_path_for(data_dir)
        self._fsync = fsync
        self._process = os.getpid()
        deadline_s = time.monotonic() + _PATIENCE_S
        with ExitStack() as undo:
            self._share = self._open_lock(USERS_LOCK)
            undo.callback(self._share.close)
            # Not granted while a supervisor stops the server: then a new one is started.
            if not self._share.share(deadline_s):
                raise self._no_answer("the server that is being stopped does not end")
            self._ensure_running(deadline_s)
            self._agree_on_fsync()
            undo.pop_all()

    @property
    def is_usable(self) -> bool:
        """Whether this process still has its share: not after `close`, not in a child after fork."""
        return self._share.fd >= 0 and self._process == os.getpid()

    def heal(self) -> None:
        """Start a new supervisor if the last one was killed; costs microseconds if it was not.

        A supervisor restarts a server that dies; who restarts a supervisor is whoever connects next.
        Failing is left to the connection that is about to be made.
        """
        if not self.is_usable:
            return
        try:
            lock = self._open_lock(supervisor.SUPERVISOR_LOCK)
            try:
                if lock.try_alone():
                    _logger.warning("the embedded server lost its supervisor, starting another")
                    self._start(lock, time.monotonic() + _HEAL_PATIENCE_S)
            finally:
                lock.close()
        except EngineError as error:
            _logger.warning("the embedded server could not be started again: %s", error)

    def close(self) -> None:
        """Give up this process's share, at once; the last one to do so ends the server."""
        self._share.close()

    def _ensure_running(self, deadline_s: float) -> None:
        """Start the server or wait for the one who does: whoever gets the lock is the starter."""
        wait_s = _FIRST_WAIT_S
        while True:
            lock = self._open_lock(supervisor.SUPERVISOR_LOCK)
            try:
                if lock.try_alone():
                    self._propose_fsync(self._fsync)
                    self._start(lock, deadline_s)
                    return
            finally:
                lock.close()
            answer = supervisor.ask(str(self.socket_path), "PING")
            if answer.startswith(b"-LOADING"):
                # However long it takes to load what it has: it is getting there.
                deadline_s = time.monotonic() + _PATIENCE_S
            elif answer:
                return
            elif time.monotonic() > deadline_s:
                raise self._no_answer("the embedded server does not answer")
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)

    def _start(self, lock: LockFile, deadline_s: float) -> None:
        """Start a supervisor, which inherits *lock*, and wait until its server answers."""
        log = self.data_dir / supervisor.LOG_FILE
        command = [find_python(), "-I", "-S", supervisor.__file__]
        binary = find_server()
        with ExitStack() as opened:
            try:
                log_fd = PrivateFd(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
                opened.callback(log_fd.close)
                log_start = os.fstat(log_fd.fd).st_size
                ends = [PrivateFd(fd) for fd in os.pipe()]
                for end in ends:
                    opened.callback(end.close)
                arguments = (self.data_dir, self.socket_path, binary, lock.fd, ends[1].fd)
                first = subprocess.Popen(  # noqa: S603  our own file, arguments of our making
                    [*command, *map(str, arguments)],
                    stdin=subprocess.DEVNULL,
                    stdout=log_fd.fd,
                    stderr=log_fd.fd,
                    pass_fds=(lock.fd, ends[1].fd),
                    start_new_session=True,
                    cwd="/",
                    env=SERVER_ENVIRONMENT | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                )
            except OSError as error:
                raise EngineError(
                    f"the embedded server cannot be started ({error.strerror or error})",
                    str(error.filename or self.data_dir),
                    "Make room on the disk or free processes, or set REDIS_URL to a running server.",
                ) from error
            ends[1].close()
            lock.close()  # the supervisor's from now on
            first.wait()
            word = _last_word(ends[0].fd, deadline_s)
        if word != "ready":
            raise failed_start(word, self.data_dir, binary, log_tail(log, log_start))
        _logger.info("embedded server started, its data is in %s", self.data_dir)

    def _propose_fsync(self, word: str) -> None:
        path = self.data_dir / supervisor.FSYNC_FILE
        try:
            path.write_text(word, encoding="ascii")
        except OSError as error:
            raise self._not_writable(path, error) from error

    def _agree_on_fsync(self) -> None:
        """Raise a running server to "always" if this program asks for it; say so if it gets less."""
        try:
            running = (self.data_dir / supervisor.FSYNC_FILE).read_text(encoding="ascii")
        except OSError:
            running = ""
        if running in {self._fsync, "always"}:
            return
        if self._fsync == "always":
            self._propose_fsync("always")  # for a restart; the command for now
            supervisor.ask(str(self.socket_path), "CONFIG", "SET", "appendfsync", "always")
            return
        _logger.warning(
            "the embedded server runs with appendfsync %s, not %s, until all programs that use %s have ended",
            running,
            self._fsync,
            self.data_dir,
        )

    def _open_lock(self, name: str) -> LockFile:
        path = self.data_dir / name
        try:
            return LockFile(path)
        except OSError as error:
            raise self._not_writable(path, error) from error

    def _not_writable(self, path: Path, error: OSError) -> EngineError:
        return EngineError(
            f"a file of the embedded server cannot be written ({error.strerror or error})",
            str(path),
            f"Make room on the disk and the file writable for user {os.geteuid()}, or set TASKS_DATA_DIR to "
            "another directory, or REDIS_URL to a running server.",
        )

    def _no_answer(self, what: str) -> EngineError:
        return EngineError(
            what,
            str(self.data_dir),
            "If machines share this directory over a network, give each its own with TASKS_DATA_DIR, or "
            "set REDIS_URL; else end the process that holds it (fuser -v "
            f"{self.data_dir / supervisor.SERVER_LOCK}) and start again.",
            log_tail(self.data_dir / supervisor.LOG_FILE),
        )


def _last_word(ready_fd: int, deadline_s: float) -> str:
    """Return what the supervisor came to: "ready", "failed", "late", or "" if it died."""
    heard = b""
    while True:
        is_loading = heard.endswith(b"loading\n")
        left_s = None if is_loading else max(deadline_s - time.monotonic(), 0)
        if not select.select([ready_fd], [], [], left_s)[0]:
            return "late"
        chunk = os.read(ready_fd, 4096)
        if not chunk:
            return heard.decode().rpartition("\n")[2]
        heard = (heard + chunk)[-64:]
        if heard.endswith((b"ready\n", b"failed\n")):
            return heard.decode().split()[-1]
