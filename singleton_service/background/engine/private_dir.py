"""Directories that only this user can enter."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from singleton_service.background.engine.errors import EngineError

__all__ = ["SOCKET", "USERS_LOCK", "prepare_data_dir", "socket_path_for"]

USERS_LOCK: Final = "users.lock"
SOCKET: Final = "server.sock"
# The kernel's limit is 108 bytes on Linux and 104 on macOS, its own zero byte included.
_SOCKET_PATH_LIMIT: Final = 100
_OTHER_DIR: Final = "Set TASKS_DATA_DIR to a directory of your own, or REDIS_URL to a running server."


def prepare_data_dir(path: Path) -> None:
    """Create *path* if need be, and see that it is this user's and closed to everybody else.

    The server's socket lies in it, and whoever reaches the socket can read and write every task.
    A directory of ours, or an empty one, is closed if it stands open; one with other things in
    it is left as it is, and refused: it may be somebody's project.

    Raises:
        EngineError: It cannot be created, is no directory, another user's, or open to others.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close_to_others(path)
    except FileExistsError:
        raise EngineError("the data directory is not a directory", str(path), _OTHER_DIR) from None
    except OSError as error:
        raise EngineError(
            f"the data directory cannot be used ({error.strerror or error})", str(path), _OTHER_DIR
        ) from error


def socket_path_for(data_dir: Path) -> Path:
    """Return where the server of *data_dir* listens: inside it, or in /tmp if that path is too long.

    Every program must come to the same answer, so nothing of its environment counts: not TMPDIR,
    not XDG_RUNTIME_DIR, which cron and a login of the same user see differently.

    Raises:
        EngineError: The directory in /tmp is another user's or open to others.
    """
    inside = data_dir / SOCKET
    if len(os.fsencode(inside)) < _SOCKET_PATH_LIMIT:
        return inside
    runtime_dir = Path(f"/tmp/singleton-service-{os.geteuid()}")  # noqa: S108  private: its owner and mode are checked
    prepare_data_dir(runtime_dir)
    # With the inode: a directory that is removed and made anew gets another socket, which
    # the old server, still shutting down, cannot unlink.
    identity = f"{data_dir.resolve()}:{data_dir.stat().st_ino}"
    return runtime_dir / f"{hashlib.sha256(os.fsencode(identity)).hexdigest()[:24]}.sock"


def _close_to_others(path: Path) -> None:
    status = path.stat()
    user = os.geteuid()
    if status.st_uid != user:
        raise EngineError(
            f"the data directory belongs to user {status.st_uid}, this program runs as user {user}",
            str(path),
            f"Run it as the owner, or hand the directory over (chown -R {user} {path}). {_OTHER_DIR}",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        if any(path.iterdir()) and not (path / USERS_LOCK).exists():
            raise EngineError(
                f"the data directory is open to other users (mode {stat.S_IMODE(status.st_mode):04o}) "
                "and holds things that are not ours",
                str(path),
                f"Close it (chmod 700 {path}) if it is meant for this alone. {_OTHER_DIR}",
            )
        path.chmod(0o700)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise EngineError("the data directory cannot be written to", str(path), f"Run chmod 700 {path}. {_OTHER_DIR}")
