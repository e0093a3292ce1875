"""Checks of where an embedded server keeps its data: pure functions of what the directory is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .finding import fine, problem, warning
from .words import count, several, size

if TYPE_CHECKING:
    from .facts import DirectoryFacts, Facts
    from .finding import Finding

_LITTLE_BYTES: Final = 100_000_000
_FEW_BYTES: Final = 1_000_000_000
_OTHERWISE: Final = "or set TASKS_DATA_DIR to a directory of your own"


def check_directory(directory: DirectoryFacts) -> Finding:
    """Whether the data directory is this user's, closed to others, and has room."""
    check, path = "data directory", directory.path
    if directory.exists and directory.owner != directory.user:
        said = f"{path} belongs to user {directory.owner}, this program runs as user {directory.user}"
        return problem(check, said, f"Run it as the owner, chown -R {directory.user} {path}, {_OTHERWISE}.")
    if not directory.is_writable:
        return problem(
            check, f"{path} can't be written to by user {directory.user}", f"chmod 700 {path}, {_OTHERWISE}."
        )
    free = f"{size(directory.free_bytes)} free"
    fix = f"Make room on the disk, {_OTHERWISE} on another one."
    if directory.free_bytes < _LITTLE_BYTES:
        return problem(check, f"{path}: {free}; without any, tasks are refused", fix)
    if directory.free_bytes < _FEW_BYTES:
        return warning(check, f"{path}: {free}", fix)
    if directory.exists and directory.mode & 0o077:
        # The next program that uses it closes one of ours, and refuses one with other things in it.
        said = f"{path} is open to other users (mode {directory.mode:04o}): they can read and write all tasks"
        return warning(check, said, f"chmod 700 {path}")
    return fine(check, f"{path}: {free}")


def check_neighbours(facts: Facts) -> Finding | None:
    """Whether the workers that are missed here may be at another project's server; None where there is no question."""
    directory = facts.directory
    if directory is None or not directory.neighbours or any(queue.workers for queue in facts.queues):
        return None
    others = directory.neighbours
    said = f"no worker uses {directory.path}, and {count(len(others), 'other server')} of yours run: {several(others)}"
    fix = "Start the programs of one project in its folder, or give all of them the same TASKS_DATA_DIR."
    return warning("one project", said, fix)
