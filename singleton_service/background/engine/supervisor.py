"""The process that looks after one embedded server; run as a script, standard library only.

It is started by the first program that opens a data directory, leaves that program's session at
once, and from then on:

- keeps the server running while any program holds the shared lock on `users.lock`;
- stops it when the last one is gone, however it went: the kernel gives locks back, not the program;
- starts it again when it dies, under a lock the server process itself inherits, so that the
  append-only file never has two writers, not even beside a rewrite that outlived its server.

Arguments: data directory, socket path, server program, and two inherited descriptors: the lock on
`supervisor.lock`, which is held for this process's life, and a pipe that hears `loading`, `ready`
or `failed ...`, a line each.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import time

__all__ = ["FSYNC_FILE", "LOG_FILE", "SERVER_LOCK", "SUPERVISOR_LOCK", "ask", "server_arguments"]

SUPERVISOR_LOCK = "supervisor.lock"
SERVER_LOCK = "server.lock"
USERS_LOCK = "users.lock"
LOG_FILE = "server.log"
# What appendfsync the server is started with; a program that asks for more writes it here.
FSYNC_FILE = "appendfsync"

_LOG_LIMIT_BYTES = 1 << 20
_LOOK_S = 0.25  # how long after the last user the server may live on, about
_FIRST_LOOK_S = 0.002
_STOP_PATIENCE_S = 10.0
_BACKOFF_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
_HEALTHY_S = 10.0  # a server that lived this long starts anew without back-off
_PR_SET_PDEATHSIG = 1

# Stops a server in good order. TERM and HUP are blocked in it: they come to every process of a
# service at once (systemd, a container's end), and a worker that is draining still needs it.
_STOP_SIGNAL = signal.SIGINT


def ask(socket_path: str, *words: str, timeout_s: float = 1.0) -> bytes:
    """Send one command to the server and return the first line of its answer, b"" for none."""
    message = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.connect(socket_path)
        client.sendall(message.encode())
        return client.recv(4096).partition(b"\r\n")[0]
    return b""


def server_arguments(binary: str, socket_path: str, fsync: str) -> list[str]:
    """Return the command that runs the server in its data directory, which is the working one."""
    options = {
        "port": "0",  # no network
        "unixsocket": socket_path,
        "unixsocketperm": "700",
        "daemonize": "no",
        "logfile": "",
        "always-show-logo": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": fsync,
        "aof-load-truncated": "yes",  # the half-written last command of a crash was never acknowledged
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "64mb",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
    }
    return [binary, *(part for name, value in options.items() for part in (f"--{name}", value))]


class _Supervisor:
    def __init__(self, socket_path: str, binary: str, ready_fd: int) -> None:
        self.socket_path = socket_path
        self.binary = binary
        self.ready_fd = ready_fd
        self.users_fd = os.open(USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        self.pid = 0
        self.failures = 0
        self.started_s = 0.0
        self.next_start_s = 0.0
        self.look_s = _FIRST_LOOK_S
        # A signal handler writes here, so that a death during the look ends the wait, not the next.
        self.wake_fd, wake_write_fd = os.pipe()
        os.set_blocking(self.wake_fd, False)
        os.set_blocking(wake_write_fd, False)
        signal.set_wakeup_fd(wake_write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> int:
        evict_orphan()
        while True:
            if try_lock(self.users_fd):
                # Held until this process ends: a program that comes now waits, then starts anew.
                self.stop()
                return 0
            if self.pid and self.has_died() and self.ready_fd >= 0:
                self.report("failed")
                return 1
            if not self.pid and time.monotonic() >= self.next_start_s:
                self.start()
            if self.ready_fd >= 0:
                self.tell_when_ready()
            self.wait()

    def start(self) -> None:
        lock_fd = os.open(SERVER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        if not try_lock(lock_fd):
            # The server is dead, its rewrite is not. It writes to a file of its own, and
            # goes first all the same: one heir at a time.
            kill_group(read_pid(lock_fd), signal.SIGKILL)
            os.close(lock_fd)
            self.next_start_s = time.monotonic() + 0.01
            return
        os.ftruncate(lock_fd, 0)
        remove_leftovers()
        arguments = server_arguments(self.binary, self.relative_socket(), read_fsync())
        self.started_s = time.monotonic()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            run_server(arguments, lock_fd, parent)
        os.close(lock_fd)

    def relative_socket(self) -> str:
        # Relative, the name can only ever mean the socket in *this* directory: were it removed and
        # made anew, a server of the old one would otherwise unlink the new one's socket as it ends.
        name = os.path.basename(self.socket_path)  # noqa: PTH119  pathlib would cost a fifth of the start
        return name if os.path.abspath(name) == self.socket_path else self.socket_path  # noqa: PTH100  the same

    def has_died(self) -> bool:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        lived_s = time.monotonic() - self.started_s
        self.failures = 0 if lived_s > _HEALTHY_S else min(self.failures + 1, len(_BACKOFF_S) - 1)
        self.next_start_s = time.monotonic() + (_BACKOFF_S[max(self.failures - 1, 0)])
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        say(f"the server ended with {code}")
        return True

    def tell_when_ready(self) -> None:
        answer = ask(self.socket_path, "PING")
        if answer.startswith(b"-LOADING"):
            self.tell("loading")
            self.look_s = 0.05
        elif answer:
            self.report("ready")
            self.look_s = _LOOK_S

    def tell(self, word: str) -> None:
        with contextlib.suppress(OSError):  # whoever wanted to know is gone
            os.write(self.ready_fd, f"{word}\n".encode())

    def report(self, word: str) -> None:
        self.tell(word)
        os.close(self.ready_fd)
        self.ready_fd = -1

    def wait(self) -> None:
        until_start_s = self.look_s if self.pid else max(self.next_start_s - time.monotonic(), 0.0)
        select.select([self.wake_fd], [], [], min(self.look_s, until_start_s))
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 512)
        bound_log()

    def stop(self) -> None:
        if not self.pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, _STOP_SIGNAL)
        deadline_s = time.monotonic() + _STOP_PATIENCE_S
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline_s:
                say("the server did not stop in time, it is killed")
                kill_group(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return
            self.wait()


def run_server(arguments: list[str], lock_fd: int, parent: int) -> None:
    """In the child: become the server. Never returns."""
    try:
        os.setpgid(0, 0)  # its rewrites belong to the group, and can be ended with it
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM, signal.SIGHUP})
        die_with(parent)
        os.pwrite(lock_fd, str(os.getpid()).encode(), 0)
        os.set_inheritable(lock_fd, True)
        os.execv(arguments[0], arguments)  # noqa: S606  no shell is what we want
    except BaseException as error:
        say(f"{arguments[0]} cannot be run: {error}")
    finally:
        os._exit(127)


def die_with(parent: int) -> None:
    """Have the kernel stop this process in good order if the supervisor is killed (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes  # noqa: PLC0415  costs 5 ms, in the child only

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(_STOP_SIGNAL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(127)


def evict_orphan() -> None:
    """Stop a server whose supervisor was killed: it still holds the file, and nobody watches it."""
    lock_fd = os.open(SERVER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    for how in (_STOP_SIGNAL, signal.SIGKILL):
        if try_lock(lock_fd):
            break
        # Whoever holds the lock wrote its number there first, or is about to.
        kill_group(read_pid(lock_fd), how)
        deadline_s = time.monotonic() + _STOP_PATIENCE_S
        while not try_lock(lock_fd) and time.monotonic() < deadline_s:
            time.sleep(0.01)
    os.close(lock_fd)


def try_lock(fd: int) -> bool:
    """Return whether the exclusive lock is held now; never waits."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def kill_group(pid: int, signum: int) -> None:
    """Send a signal to the process group of a server, if there is one."""
    if pid > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signum)


def read_pid(fd: int) -> int:
    """Return the process number in a lock file, 0 if there is none (yet)."""
    text = os.pread(fd, 32, 0)
    return int(text) if text.isdigit() else 0


def read_fsync() -> str:
    """Return the appendfsync that the programs of this directory agreed on."""
    try:
        with open(FSYNC_FILE, encoding="ascii") as file:  # noqa: PTH123  pathlib costs a fifth of the start
            word = file.read().strip()
    except OSError:
        word = ""
    return word if word in {"always", "no", "everysec"} else "always"


def remove_leftovers() -> None:
    """Remove what a rewrite that was killed left behind; called with the server's lock held."""
    for name in os.listdir():  # noqa: PTH208  pathlib costs a fifth of the start
        if name.startswith("temp-") and name.endswith((".aof", ".rdb")):
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108  the same


def bound_log() -> None:
    """Keep the log small: move it aside when it is long. Everybody appends, so it may be cut."""
    with contextlib.suppress(OSError):
        if os.fstat(1).st_size > _LOG_LIMIT_BYTES:
            with open(LOG_FILE, "rb") as log, open(f"{LOG_FILE}.1", "wb") as old:  # noqa: PTH123  as above
                old.write(log.read())
            os.ftruncate(1, 0)


def say(sentence: str) -> None:
    """Write a line to the server's log, which is our standard error."""
    stamp = time.strftime("%d %b %Y %H:%M:%S")
    with contextlib.suppress(OSError):
        os.write(2, f"{os.getpid()}:supervisor {stamp} {sentence}\n".encode())


def main(arguments: list[str]) -> int:
    """Leave the program that started us, and look after the server until nobody uses it."""
    data_dir, socket_path, binary, lock_fd, ready_fd = arguments
    # A second fork: a child would be left to that program as a zombie when it ends.
    if os.fork():
        os._exit(0)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for inherited in (int(lock_fd), int(ready_fd)):
        os.set_inheritable(inherited, False)
    os.umask(0o077)
    os.chdir(data_dir)
    return _Supervisor(socket_path, binary, int(ready_fd)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
