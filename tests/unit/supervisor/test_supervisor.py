"""The parent's loop, with children that are programs of a few lines."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.supervisor import Limits, Program, Supervisor, supervisor
from singleton_service.background.supervisor.child import python
from singleton_service.background.supervisor.memory import resident_mb
from singleton_service.background.supervisor.obituary import ended
from singleton_service.background.supervisor.words import News, Order, Reader, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

# As Supervised does: let signals in, and say that all is loaded.
LOADED = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
open("started", "a").write(f"{os.getpid()}\\n")
os.write(int(sys.argv[-1]), b'["loaded", "shown"]\\n')
"""
# Until something else is said than that it may begin.
STAY = "\nwhile os.read(int(sys.argv[-1]), 100) == b'[\"begin\", null]\\n':\n    pass\n"
DEAF = "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('deaf', 'w')\ntime.sleep(60)\n"


def program(source: str, number: int = 1, **options: Any) -> Program:
    return Program("thing", (*python(), "-c", source), number, **options)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Callable[..., int]:
    """Run a supervisor on this thread, the main one."""

    def of(*programs: Program, patience_s: float = 5, **options: Any) -> int:
        with caplog.at_level(logging.INFO, "singleton_service.supervisor"):
            return Supervisor(programs, patience_s=patience_s, has_workers=False, **options).run()

    return of


@pytest.fixture
def once(in_thread: Any, until: Callable[..., object]) -> Callable[..., None]:
    """Send a signal to this process as soon as something is so."""

    def when(is_so: Callable[[], object], number: signal.Signals) -> None:
        def wait() -> None:
            until(is_so, 30)
            os.kill(os.getpid(), number)

        in_thread(wait)

    return when


def starts(here: Path) -> list[int]:
    file = here / "started"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def test_what_cannot_be_started_at_all_ends_all_with_its_code(run: Callable[..., int], here: Path) -> None:
    assert run(program("open('tried', 'a').write('x'); raise SystemExit(3)", number=4)) == 3
    assert (here / "tried").read_text() == "x", "one tells for all"


def test_who_dies_again_and_again_is_started_ever_later(
    run: Callable[..., int], once: Callable[..., None], here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    once(lambda: len(starts(here)) == 4, signal.SIGTERM)
    assert run(program(f"{LOADED}\nsys.exit(9)")) == 0
    told = [record.getMessage() for record in caplog.records if "another one" in record.getMessage()]
    assert [line.partition("another one is started in ")[2] for line in told[:3]] == ["0.05 s", "0.1 s", "0.2 s"]
    assert all("ended with exit code 9" in line for line in told)


def test_the_others_start_when_the_first_has_loaded_and_one_signal_ends_all(
    run: Callable[..., int], once: Callable[..., None], here: Path
) -> None:
    shown: list[Any] = []
    once(lambda: len(starts(here)) == 3, signal.SIGTERM)
    assert (
        run(program(LOADED + STAY, number=3), on_loaded=lambda _program, value: shown.append(value), patience_s=0) == 0
    )
    assert shown == ["shown"], "once"


def test_who_does_not_end_when_told_to_is_killed(
    run: Callable[..., int],
    once: Callable[..., None],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(supervisor, "_BEYOND_S", 0.2)
    once((here / "deaf").exists, signal.SIGTERM)
    assert run(program(LOADED + DEAF), patience_s=0) == 0
    assert "did not end when it was told to: killing it" in caplog.text
    assert "was told to end, and was killed by SIGKILL" in caplog.text


def test_a_third_signal_kills(once: Callable[..., None], here: Path) -> None:
    made = Supervisor([program(LOADED + DEAF)], patience_s=600, has_workers=False)
    once((here / "deaf").exists, signal.SIGINT)
    # One after the other: of two that are pending alike the kernel delivers one.
    once(lambda: made._stops == 1, signal.SIGINT)
    once(lambda: made._stops == 2, signal.SIGINT)
    assert made.run() == 0


def test_those_that_may_end_give_the_highest_code(run: Callable[..., int]) -> None:
    assert run(program(f"{LOADED}\nsys.exit(len(open('started').readlines()) == 2)", number=2, may_end=True)) == 1


def test_systemd_hears_of_it_and_children_do_not_know_where(
    run: Callable[..., int], once: Callable[..., None], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("notify")
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(here / "notify"))
        heard = set()

        def all_heard() -> set[str]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.add(systemd.recv(100).decode())
            return heard

        once(lambda: {"READY=1", "WATCHDOG=1"} <= all_heard(), signal.SIGTERM)
        # Who fails before it has loaded makes the run fail.
        knows_nothing = "import os\nassert 'NOTIFY_SOCKET' not in os.environ\n"
        assert run(program(knows_nothing + LOADED + STAY), patience_s=0) == 0
        assert all_heard() == {"READY=1", "WATCHDOG=1", "STOPPING=1"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended, though nobody here had told it to"),
        (3, "ended with exit code 3"),
        (70, "stood still and ended itself: its log has where"),
        (-9, "was killed by SIGKILL: by somebody, or by the kernel for want of memory"),
        (-11, "was killed by SIGSEGV: native code went wrong"),
        (-signal.SIGUSR1, "was killed by SIGUSR1"),
        (-200, "was killed by signal 200"),
    ],
)
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert ended(code) == words


def test_words_come_whole_however_they_are_cut() -> None:
    reader = Reader()
    text = written(News.WORKER, "büro:1:2") + written(Order.DRAIN)
    heard = [word for n in range(len(text)) for word in reader.read(text[n : n + 1])]
    assert heard == [("worker", "büro:1:2"), ("drain", None)]


def test_the_memory_of_a_process_is_seen_from_outside() -> None:
    before = resident_mb(os.getpid())
    kept = bytearray(50_000_000)
    assert resident_mb(os.getpid()) > before + 40 > 50
    assert kept
    assert resident_mb(1 << 22) == 0


# What a worker says beside that.
SERVING = "\nos.write(int(sys.argv[-1]), b'[\"serves\", true]\\n')\n"
DONE = "\nos.write(int(sys.argv[-1]), b'[\"tasks\", 5]\\n')\n"


def test_who_has_served_enough_leaves_when_the_next_one_serves(
    run: Callable[..., int], once: Callable[..., None], here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The first two have done enough, and those that follow have not.
    busy = "\nif len(open('started').readlines()) <= 2:\n    " + DONE.strip()
    once(lambda: caplog.text.count("starting another one in its place") == 2 and len(left(here)) == 2, signal.SIGTERM)
    leave = f"{STAY}open('left', 'a').write(f'{{os.getpid()}}\\n')\n"
    assert run(program(LOADED + SERVING + busy + leave, number=2), limits=Limits(tasks=5)) == 0
    assert left(here)[:2] == starts(here)[:2], "the oldest first"
    assert len(starts(here)) == 4


def left(here: Path) -> list[int]:
    file = here / "left"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def test_one_that_dies_before_it_serves_replaces_nobody(
    run: Callable[..., int], once: Callable[..., None], here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    second = "\nif len(open('started').readlines()) == 2:\n    sys.exit(9)\n"
    once(lambda: "which was to take over, ended with exit code 9" in caplog.text, signal.SIGTERM)
    leave = f"{STAY}open('left', 'a').write(f'{{os.getpid()}}\\n')\n"
    assert run(program(LOADED + second + SERVING + DONE + leave), limits=Limits(tasks=5)) == 0
    assert left(here) == starts(here)[:1]


def test_when_the_old_one_dies_first_the_next_one_has_its_place(
    run: Callable[..., int], once: Callable[..., None], here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = (
        "\nif len(open('started').readlines()) == 1:" + SERVING.replace("\n", "\n    ") + DONE.replace("\n", "\n    ")
    )
    first += (
        "\n    while len(open('started').readlines()) == 1:\n        time.sleep(0.01)\n    os.kill(os.getpid(), 9)\n"
    )
    once(lambda: "the next one is there already" in caplog.text, signal.SIGTERM)
    assert run(program(LOADED + first + STAY), limits=Limits(tasks=5)) == 0
    assert len(starts(here)) == 2
