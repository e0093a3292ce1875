"""What a worker and its processes say to each other arrives whole, in order, and without anybody waiting."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.worker.processes.frames import Kind, Line, frame

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Line, socket.socket]]:
    ours, theirs = socket.socketpair()
    line = Line(ours)
    yield line, theirs
    line.close()
    theirs.close()


def test_frames_come_whole_however_they_are_cut(ends: tuple[Line, socket.socket]) -> None:
    line, other = ends
    sent = [(Kind.LOG, b""), (Kind.DONE, b"x" * 300), (Kind.READY, b"\0")]
    received = []
    for byte in b"".join(frame(kind, data) for kind, data in sent):
        other.send(bytes([byte]))
        received += line.receive()
    assert received == sent
    assert line.receive() == []
    other.send(frame(*sent[0]) + frame(*sent[1])[:5])
    assert line.receive() == [sent[0]]
    other.close()
    with pytest.raises(EOFError):
        line.receive()


def test_who_does_not_read_keeps_nobody_waiting(ends: tuple[Line, socket.socket]) -> None:
    line, other = ends
    data = b"y" * (8 << 20)
    line.send(Kind.JOB, data)
    line.send(Kind.CLOSE)
    assert line.has_unsent
    expected = frame(Kind.JOB, data) + frame(Kind.CLOSE)
    received = bytearray()
    while len(received) < len(expected):
        received += other.recv(1 << 20)
        line.flush()
    assert received == expected
    assert not line.has_unsent
    other.close()
    line.send(Kind.CLOSE)
    assert not line.has_unsent, "to nobody"
