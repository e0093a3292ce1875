from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from singleton_service.background.worker.systemd import notify


@pytest.mark.parametrize("kind", ["in a directory", "abstract"])
def test_whoever_listens_hears(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sd-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        path = str(Path(directory) / "notify")
        is_abstract = kind == "abstract"
        listener.bind("\0" + path if is_abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + path if is_abstract else path)
        notify("READY=1", "STATUS=takes tasks")
        assert listener.recv(100) == b"READY=1\nSTATUS=takes tasks"


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
def test_where_nobody_listens_nothing_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_one_who_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sd-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        path = str(Path(directory) / "notify")
        listener.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        for _ in range(1000):
            notify("WATCHDOG=1")
