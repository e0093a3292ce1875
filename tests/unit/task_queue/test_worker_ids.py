from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.worker_ids import new_worker_id, read_worker_id

if TYPE_CHECKING:
    import pytest


def test_a_name_tells_host_process_and_start_and_is_nobody_elses() -> None:
    first, second = new_worker_id(), new_worker_id()
    assert first != second
    host, pid, started_at = read_worker_id(first)
    assert pid == os.getpid()
    assert started_at is not None
    assert abs(datetime.now(UTC) - started_at) < timedelta(minutes=1)
    assert host


def test_a_host_may_be_called_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "büro:7|x y")
    assert read_worker_id(new_worker_id())[0] == "b-ro-7-x-y"


def test_a_name_of_a_version_before_does_not_tell_its_start() -> None:
    assert read_worker_id("web-1:42:0f1e2d3c") == ("web-1", 42, None)


FORKS = """
import os
from singleton_service.background.task_queue.worker_ids import LISTENERS, new_worker_id
LISTENERS.append(lambda name: print("heard", flush=True))
new_worker_id()
if os.fork() == 0:
    new_worker_id()
    os._exit(0)
os.wait()
"""


def test_who_listens_hears_of_each_name_of_this_process_and_of_none_of_a_forked_one() -> None:
    said = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)
    assert said.stdout == "heard\n"
