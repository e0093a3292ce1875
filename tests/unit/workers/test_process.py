"""ProcessWorker: what travels to its process, how it ends, and how it outlives nobody."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.workers import ProcessWorker, WorkerArgumentError, WorkerEndingError, _joining

from . import crew
from .crew import AsyncSleeper, Doing, Doubler, ToldProcess, Unmakable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .crew import Journal

pytestmark = pytest.mark.timeout(60)
PATIENCE_S = 30
ROOT = Path(__file__).parents[3]
processes = multiprocessing.get_context("spawn")


def process_exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # The second, when it goes after the file was opened.
        return False


def pid_in(journal: Journal) -> int:
    return int(next(line for line in journal.lines if line.startswith("pid ")).split()[1])


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_joining, "INTERRUPTED_S", 0.2)


def test_numbers_go_in_and_come_out_by_queues_made_for_processes() -> None:
    numbers, doubled = processes.Queue(), processes.Queue()
    worker = Doubler(numbers, doubled=doubled)
    worker.start()
    for number in [*range(100), None]:
        numbers.put(number)
    assert [doubled.get(timeout=PATIENCE_S) for _ in range(100)] == list(range(0, 200, 2))
    assert worker.join(PATIENCE_S)
    assert not worker.has_failed
    for each in (numbers, doubled):
        each.close()
        each.join_thread()


def test_its_hooks_run_in_a_process_of_their_own(journal: Journal, until: Callable[..., Any]) -> None:
    worker = Doing(journal, crew.sleep_on)
    assert worker.pid is None
    worker.start()
    pid = worker.pid
    until(lambda: len(journal.lines) == 2, PATIENCE_S)
    assert pid_in(journal) == pid != os.getpid()
    assert not vars(worker.context)
    worker.join(0)
    assert worker.pid is None
    assert pid is not None
    assert not process_exists(pid)


def test_a_main_that_does_not_end_is_broken_off_so_that_its_teardown_runs(
    journal: Journal, until: Callable[..., Any]
) -> None:
    worker = Doing(journal, crew.sleep_on)
    worker.start()
    until(lambda: len(journal.lines) == 2, PATIENCE_S)
    worker.stop()
    assert not worker.join(0.01)
    assert journal.lines[2:] == ["error", "teardown", "shutdown"]
    assert not worker.is_alive
    assert worker.has_failed


def test_a_coroutine_is_broken_off_before_the_teardown(journal: Journal, until: Callable[..., Any]) -> None:
    worker = AsyncSleeper(journal)
    worker.start()
    until(journal.has("main"), PATIENCE_S)
    assert not worker.join(0.01)
    assert journal.lines == ["main", "main is broken off", "teardown"]


def test_a_process_worker_starts_and_ends_one_of_its_own(journal: Journal) -> None:
    worker = Doing(journal, crew.parent_another)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert not worker.has_failed
    assert journal.lines == ["startup", "setup", "startup", "main", "teardown", "shutdown", "teardown", "shutdown"]


def test_a_stop_never_waits_for_a_process_that_does_not_listen(journal: Journal, until: Callable[..., Any]) -> None:
    worker = Doing(journal, crew.sleep_on)
    worker.start()
    until(lambda: len(journal.lines) == 2, PATIENCE_S)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    for _ in range(5000):  # far more than a pipe holds
        worker.stop()
    os.kill(worker.pid, signal.SIGCONT)
    worker.join(0)


@pytest.mark.usefixtures("quick_end")
def test_a_main_that_cannot_be_broken_off_is_killed(
    journal: Journal, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    worker = Doing(journal, crew.swallow_everything)
    worker.start()
    until(journal.has("main"), PATIENCE_S)
    assert not worker.join(0.01)
    assert journal.lines == ["startup", "main", "swallowed"]
    assert not worker.is_alive
    assert worker.has_failed
    assert caplog.messages == ["worker 'Doing' has not ended: killing it"]


def test_a_worker_that_is_still_ending_is_not_started(journal: Journal, until: Callable[..., Any]) -> None:
    worker = Doing(journal, crew.sleep_on)
    worker.start()
    until(lambda: len(journal.lines) == 2, PATIENCE_S)
    worker.stop()
    with pytest.raises(WorkerEndingError):
        worker.start()
    worker.join(0)


def test_a_process_that_is_killed_has_failed(journal: Journal, until: Callable[..., Any]) -> None:
    worker = Doing(journal, crew.sleep_on)
    worker.start()
    until(lambda: len(journal.lines) == 2, PATIENCE_S)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.join(PATIENCE_S)
    assert (worker.is_running, worker.is_alive, worker.has_failed) == (False, False, True)


def test_term_asks_it_to_stop_however_early_it_comes(journal: Journal, until: Callable[..., Any]) -> None:
    worker = ToldProcess(journal)
    for times in (1, 2):
        worker.start()
        if times == 2:
            until(journal.has("main", times), PATIENCE_S)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.join(PATIENCE_S)
        assert not worker.has_failed
    assert journal.lines == 2 * ["setup", "startup", "main", "teardown", "shutdown"]


def test_its_end_is_noticed_though_its_children_live_on(journal: Journal) -> None:
    worker = Doing(journal, crew.leave_a_grandchild)
    worker.start()
    try:
        assert worker.join(PATIENCE_S)
        assert worker.has_failed
    finally:
        for pid in journal.lines[-1].split():
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize(("function", "has_failed"), [(crew.exit_quietly, False), (crew.exit_loudly, True)])
def test_sys_exit_returns_unless_it_says_that_something_is_wrong(
    function: Callable[[Doing], None],
    has_failed: bool,  # noqa: FBT001 - a parameter of the test
    journal: Journal,
) -> None:
    worker = Doing(journal, function)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert worker.has_failed is has_failed
    assert journal.lines[-2:] == ["teardown", "shutdown"]


def test_a_constructor_that_fails_in_the_process_is_a_worker_that_died(capfd: pytest.CaptureFixture[str]) -> None:
    worker = Unmakable(os.getpid())
    worker.start()
    assert worker.join(PATIENCE_S)
    assert worker.has_failed
    said = capfd.readouterr().err
    assert said.startswith("worker class Unmakable could not be made in its process\nTraceback")
    assert said.endswith("ValueError: only at home\n")


def test_nothing_stays_open_after_an_end(journal: Journal) -> None:
    before = 0
    for life in range(4):
        worker = Doing(journal, crew.exit_quietly)
        worker.start()
        assert worker.join(PATIENCE_S)
        if life == 0:
            gc.collect()  # queues of earlier tests
            before = open_files()  # what multiprocessing opens for good is open now
    assert open_files() <= before


class Nothing(ProcessWorker):
    def __init__(self, *lines: object, jobs: object = None, **more: object) -> None:
        super().__init__()

    def main(self) -> None: ...


@pytest.mark.parametrize(
    ("make", "argument", "reason"),
    [
        (lambda: Doubler(queue.Queue(), doubled=processes.Queue()), "numbers", "cannot pickle '_thread.lock' object"),  # type: ignore[arg-type]
        (lambda: Doubler(processes.Queue(), doubled=multiprocessing.get_context("fork").Queue()), "doubled", "fork"),
        (lambda: Nothing("fine", threading.Lock()), "lines[1]", "_thread.lock"),
        (lambda: Nothing(jobs=lambda: None), "jobs", "lambda"),
        (lambda: Nothing(event=threading.Event()), "event", "_thread.lock"),
    ],
)
def test_an_argument_that_cannot_travel_is_named_before_anything_starts(
    make: Callable[[], ProcessWorker], argument: str, reason: str
) -> None:
    worker = make()
    with pytest.raises(WorkerArgumentError, match="Pass what pickle can copy") as caught:
        worker.start()
    error = caught.value
    assert isinstance(error, TypeError)
    assert (error.worker, error.argument) == (type(worker).__name__, argument)
    assert reason in error.reason
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert (worker.is_alive, worker.starts, worker.pid) == (False, 0, None)


def test_a_class_that_cannot_be_imported_is_refused_before_anything_starts() -> None:
    class Local(ProcessWorker):
        def main(self) -> None: ...

    with pytest.raises(WorkerArgumentError, match="Write the class at the top of a module") as caught:
        Local().start()
    assert caught.value.argument == "the class"


def run_program(text: str, folder: Path, *, name: str | None = "program.py", **options: Any) -> subprocess.Popen[str]:
    if name is not None:
        (folder / name).write_text(text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-X", "dev", *([name] if name is not None else ["-c", text])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_class_that_was_typed_in_is_refused_before_anything_starts(tmp_path: Path) -> None:
    text = (
        "from singleton_service.workers import ProcessWorker\n"
        "class Typed(ProcessWorker):\n"
        "    def main(self): pass\n"
        "Typed().start()\n"
    )
    _, said = run_program(text, tmp_path, name=None).communicate(timeout=PATIENCE_S)
    assert said.splitlines()[-1].startswith(
        "singleton_service.workers.errors.WorkerArgumentError: Typed cannot be found by its process: it was typed in"
    )


PROGRAM = """
import os, signal, sys, time
from singleton_service.workers import ProcessWorker, Server, ThreadWorker

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # at once: several write at the same time

class Hooks:
    def lifecycle(self, event, **data):
        say(self.name, event, *data.values())

    def main(self):
        say(self.name, "main", os.getpid())
        while self.is_running:
            self.should_stop(within=60)

class Process(Hooks, ProcessWorker): ...
class Thread(Hooks, ThreadWorker): ...

class Deaf(Process):
    def main(self):
        say(self.name, "main", os.getpid())
        time.sleep(60)

if __name__ == "__main__":
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> subprocess.Popen[str]:
        started.append(run_program(f"{PROGRAM}    {text}\n", tmp_path, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until_main(process: subprocess.Popen[str], mains: int) -> list[int]:
    """Read what a program prints until so many workers are in their main; return the ids of their processes."""
    assert process.stdout is not None
    pids: list[int] = []
    while len(pids) < mains:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        if " main " in line:
            pids.append(int(line.split()[-1]))
    return pids


SERVER = "server = Server(); server.add_worker(Process('p')); server.add_worker(Thread('t')); "


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_all_in_order_and_without_tracebacks(
    program: Callable[[str], subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = program(SERVER + "sys.exit(0 if server.run_forever() else 1)")
    read_until_main(process, 2)
    os.killpg(process.pid, number)
    printed, said = process.communicate(timeout=PATIENCE_S)
    assert sorted(printed.splitlines()) == ["p shutdown", "t shutdown"]
    assert (process.returncode, said) == (0, "")


def test_an_early_interrupt_of_the_group_leaves_no_traceback_of_the_child(
    program: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = program("signal.signal(signal.SIGINT, lambda *_: None); Process('p').start(); say('t main 0')")
    read_until_main(process, 1)
    os.killpg(process.pid, signal.SIGINT)  # the child is still importing
    printed, said = process.communicate(timeout=PATIENCE_S)
    assert printed.splitlines()[-1] == "p shutdown"
    assert (process.returncode, said) == (0, "")


def test_daemons_are_ended_with_their_teardown_when_the_interpreter_ends(
    program: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = program("Process('p').start(); Thread('t').start()")
    printed, said = process.communicate(timeout=PATIENCE_S)
    assert {"p shutdown", "t shutdown"} <= set(printed.splitlines())
    assert (process.returncode, said) == (0, "")


def test_the_interpreter_waits_for_a_process_that_is_no_daemon(
    program: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = program("Process('p', daemon=False).start()")
    (pid,) = read_until_main(process, 1)
    assert process.poll() is None
    os.kill(pid, signal.SIGTERM)
    printed, said = process.communicate(timeout=PATIENCE_S)
    assert printed.splitlines() == ["p shutdown"]
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("kind", ["Process", "Deaf"])
def test_a_process_ends_when_its_parent_is_killed_even_if_a_sibling_was_forked(
    program: Callable[[str], subprocess.Popen[str]], kind: str, until: Callable[..., Any]
) -> None:
    process = program(f"{kind}('p').start(); pid = os.fork(); time.sleep(60)")
    (pid,) = read_until_main(process, 1)
    forked = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    try:
        until(lambda: not process_exists(pid), PATIENCE_S)
        assert any(process_exists(child) for child in forked)
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_forked_child_of_the_parent_leaves_without_touching_the_workers(
    program: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = program(
        "worker = Process('p'); worker.start(); pid = os.fork() or sys.exit(5 if worker.is_alive else 4); "
        "say('fork main', os.waitpid(pid, 0)[1] >> 8, worker.is_running)"
    )
    printed, said = process.communicate(timeout=PATIENCE_S)
    assert "fork main 4 True" in printed.splitlines()
    assert "p shutdown" in printed.splitlines()
    assert (
        process.returncode,
        [line for line in said.splitlines() if "fork()" not in line and "os.fork" not in line],
    ) == (0, [])


def test_an_end_that_comes_amid_the_start_is_the_end(
    journal: Journal, until: Callable[..., Any], in_thread: Callable[[Callable[[], Any]], threading.Thread]
) -> None:
    worker = ToldProcess(journal)
    for starts in range(1, 6):

        def end(starts: int = starts) -> None:
            until(lambda: worker.starts == starts)
            worker.join(0)

        thread = in_thread(end)
        worker.start()
        thread.join(PATIENCE_S)
        assert not worker.is_alive
