"""Where the requests and replies of the Redis protocol end, and what a request asks for."""

from __future__ import annotations

import hashlib

from singleton_service.background.task_queue.scripts import Scripts, load_scripts

INCOMPLETE = -1
# "add" is how plain tasks are enqueued.
_SAME_AS = {"add": "enqueue"}
_SIZED, _NESTED = b"$*", ord("*")


def frame_end(data: bytes | bytearray, start: int) -> int:
    """Return where the frame that begins at *start* ends, INCOMPLETE while it is not all there."""
    at, missing = start, 1
    while missing:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return INCOMPLETE
        kind = data[at]
        size = int(data[at + 1 : line_end]) if kind in _SIZED else 0
        at = line_end + 2
        missing -= 1
        if kind == _NESTED:
            missing += max(0, size)
        elif kind in _SIZED and size >= 0:
            at += size + 2
    return at if at <= len(data) else INCOMPLETE


def frames(data: bytearray) -> list[bytes]:
    """Take the complete frames off *data*."""
    found, start = [], 0
    while start < len(data) and (end := frame_end(data, start)) != INCOMPLETE:
        found.append(bytes(data[start:end]))
        start = end
    del data[:start]
    return found


class Requests:
    """Names requests: by their script where they call one ("enqueue", "fetch", ...), else by the command ("BLPOP")."""

    def __init__(self) -> None:
        scripts = load_scripts()
        self._script_of = {getattr(scripts, name).sha: _SAME_AS.get(name, name) for name in Scripts.__slots__}

    def name(self, frame: bytes) -> str:
        """Return the name of one request."""
        parts = frame.split(b"\r\n", 5)
        command = parts[2].upper()
        if command == b"EVALSHA":
            return self._script_of.get(parts[4], "unknown script")
        if command == b"EVAL":
            size = int(parts[3][1:])
            text = frame[len(b"\r\n".join(parts[:4])) + 2 :][:size]
            return self._script_of.get(hashlib.sha1(text).hexdigest().encode(), "unknown script")
        return command.decode()
