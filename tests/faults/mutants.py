"""Mutants: the package with one safeguard taken out, each of which a scenario or a script's test must notice.

python -m tests.faults.mutants [NAME ...]   Works on copies in a directory of its own, never on the tree.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_HOME = Path(os.path.abspath(__file__)).parents[2]  # noqa: PTH100 - a copy may consist of links
_COPIED = ("singleton_service", "services", "tests", "pyproject.toml")
_QUEUE = "singleton_service/background/task_queue"
_CLOCK = "singleton_service/background/expressions/local_time.py"
_SCHEDULER = "singleton_service/background/scheduler"
_SCHEDULES_TEST = "tests/scripts/test_schedules.py"
_CLOCK_TEST = "tests/clocks/test_clocks.py::test_runs_are_those_of_a_clock_that_is_looked_at_minute_by_minute"
_SIDE_BY_SIDE = 2
_LONGEST_S = 300


@dataclass(frozen=True, slots=True)
class Mutant:
    """One safeguard and its absence.

    Attributes:
        name: the safeguard that is taken out.
        file: where, within the copy.
        text: what stands there, once.
        instead: what stands there in the mutant.
        hunter: what must notice: a scenario's name, or a test's address.
        says: a part of what it must say, so that it is not noticed by accident.
    """

    name: str
    file: str
    text: str
    instead: str
    hunter: str
    says: str

    def breed(self, home: Path) -> None:
        """Turn the copy in *home* into the mutant.

        Raises:
            ValueError: the text does not stand there exactly once.
        """
        path = home / self.file
        source = path.read_text(encoding="utf-8")
        if source.count(self.text) != 1:
            raise ValueError(f"{self.name}: in {self.file} the text stands {source.count(self.text)} times, not once")
        path.write_text(source.replace(self.text, self.instead), encoding="utf-8")

    def hunt(self) -> str:
        """Breed it and let its hunter go; return "" when it was caught, else what happened."""
        with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
            home = Path(directory)
            for name in _COPIED:
                copy = shutil.copytree if (_HOME / name).is_dir() else shutil.copy
                copy(_HOME / name, home / name)
            self.breed(home)
            # For the processes of a test, too.
            variables = {**os.environ, "PYTHONPATH": directory}
            try:
                hunt = subprocess.run(
                    self._command(),
                    cwd=home,
                    env=variables,
                    capture_output=True,
                    text=True,
                    timeout=_LONGEST_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"{self.hunter} came to no end within {_LONGEST_S} s"
        said = hunt.stdout + hunt.stderr
        if hunt.returncode == 0:
            return f"{self.hunter} noticed nothing"
        return "" if self.says in said else f"{self.hunter} noticed something else:\n{said[-3000:]}"

    def _command(self) -> list[str]:
        if self.hunter.startswith("tests/"):
            return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", self.hunter]
        return [sys.executable, "-m", "tests.faults", self.hunter]


MUTANTS = (
    Mutant(
        "the fence is compared",
        f"{_QUEUE}/lua/include/leases.lua",
        "if held[n] == ARGV[i + 1] and not twice[uid] then",
        "if held[n] and not twice[uid] then",
        "only_the_heartbeat_blocked",
        "ends under a lost lease counted",
    ),
    Mutant(
        "leases nobody knows of are handed back",
        f"{_QUEUE}/heartbeat.py",
        "if queue not in self._doubtful and self._strange_beats[queue] < _STRANGE_BEATS:",
        "if True:",
        "fetch_answers_lost",
        "an empty queue: not within",
    ),
    Mutant(
        "a fetch puts the wake-up token back while work is left",
        f"{_QUEUE}/lua/fetch.lua",
        "if ready_ms == 0 then\n        wake_one()\n",
        "if ready_ms == 0 then\n",
        "lost_wake_ups",
        "wake-ups were lost",
    ),
    Mutant(
        "a recovery asks whose the task is",
        f"{_QUEUE}/lua/recover.lua",
        'if lease and string.match(lease, "^%d+|(.*)$") == ARGV.lost_worker then',
        "if lease then",
        "tests/scripts/test_lost_workers.py::test_the_index_of_a_lost_worker_is_not_believed",
        "running says whose it is",
    ),
    Mutant(
        "what is moved to ready is no longer due",
        f"{_QUEUE}/lua/fetch.lua",
        '    in_chunks("ZREM", zset, uids)\n',
        "",
        "wrong_clocks",
        "ran twice",
    ),
    Mutant(
        "finishing forgets old results",
        f"{_QUEUE}/lua/complete.lua",
        "forget(2 * math.max(#mine, 1), now_ms)\n",
        "",
        "tests/scripts/test_finish.py::test_no_more_results_are_kept_than_may_be",
        "assert",
    ),
    Mutant(
        "a task that is handed back has not failed",
        f"{_QUEUE}/lua/release.lua",
        "    put_back(ARGV[mine[n]], now_ms)\n",
        "    local retries, crashes = history(ARGV[mine[n]])\n"
        "    remember(ARGV[mine[n]], retries + 1, crashes, 0)\n"
        "    put_back(ARGV[mine[n]], now_ms)\n",
        "terminated",
        "a stop counted as a failed attempt",
    ),
    Mutant(
        "what a stop cuts off is interrupted",
        "singleton_service/background/worker/dispatcher.py",
        "        self._in_hand.interrupt(running, Order.STOP)\n",
        "",
        "tests/system/test_shutdown.py::test_a_handler_that_is_cut_off_cleans_up_before_its_task_begins_elsewhere",
        "tidied",
    ),
    Mutant(
        "a dispatcher that dies is followed by another",
        "singleton_service/workers/_supervisor.py",
        "if life.failure is not None and not life.is_told_to_stop:",
        "if life.failure is None and not life.is_told_to_stop:",
        "tests/contract/test_worker.py::test_a_dispatcher_that_dies_of_what_nobody_foresaw_goes_on_with_what_it_holds",
        "TimeoutError",
    ),
    Mutant(
        "a loop that stands still is seen to",
        "singleton_service/background/worker/dispatcher.py",
        "            self.rounds += 1\n",
        "",
        "tests/system/test_health.py::test_a_half_open_connection_is_no_reason_to_end_for_one_that_finds_out",
        "not within",
    ),
    Mutant(
        "a process whose loop stands still ends",
        "singleton_service/background/worker/health_watch.py",
        "self._standstill.seconds > 2 * self._stall_s and self.is_standalone",
        "False",
        "tests/system/test_health.py::"
        "test_a_loop_that_hangs_on_a_half_open_connection_turns_unready_then_ends_the_process",
        "not within",
    ),
    Mutant(
        "an ending frees only its own unique key",
        f"{_QUEUE}/lua/include/unique.lua",
        'if redis.call("HGET", KEYS.unique, key) == uid then',
        "if true then",
        "tests/scripts/test_operations.py::test_replace_takes_the_place_of_what_waits_and_of_nothing_else",
        "unique",
    ),
    Mutant(
        "a repeated enqueue is recognised",
        f"{_QUEUE}/lua/add.lua",
        "if has_ended or ",
        "if ",
        "enqueue_answers_lost",
        "ran twice",
    ),
    Mutant(
        "a worker that was seen dead is given no rest of its lease",
        f"{_QUEUE}/lua/recover.lua",
        'if ARGV.is_dead ~= "1" and ends_ms',
        "if ends_ms",
        "tests/system/test_supervisor.py::test_tasks_of_a_killed_child_run_again_at_once_and_another_takes_its_place",
        "TimeoutError",
    ),
    Mutant(
        "a recovery wakes somebody",
        f"{_QUEUE}/lua/recover.lua",
        "made room for.\n    wake_one()\n",
        "made room for.\n",
        "tests/scripts/test_lost_workers.py::test_whoever_recovers_tasks_wakes_somebody_for_them",
        "wake",
    ),
    Mutant(
        "an end that is said again is recognised",
        f"{_QUEUE}/lua/include/repeats.lua",
        'if ARGV.again ~= "1" then',
        "if true then",
        "acknowledge_answers_lost",
        "ends that counted were called refused",
    ),
    Mutant(
        "no more of a limit key run than may",
        f"{_QUEUE}/lua/include/turns.lua",
        'return most == 0 or tonumber(redis.call("HGET", KEYS.turns, "n" .. key) or "0") < most',
        "return true",
        "limits_under_kills",
        "tasks of a key ran at once where",
    ),
    Mutant(
        "only who holds a task reports on it",
        f"{_QUEUE}/lua/progress.lua",
        'if redis.call("HGET", KEYS.running, uid) == ARGV[i + 1] then',
        'if redis.call("HEXISTS", KEYS.running, uid) == 1 then',
        "tests/scripts/test_progress.py::test_only_who_holds_a_task_reports_on_it",
        "assert",
    ),
    Mutant(
        "who waits is told though the notification is lost",
        f"{_QUEUE}/results.py",
        "self._stale |= self._waiting.keys()\n        self._next_look_at",
        "pass\n        self._next_look_at",
        "tests/system/test_lost_notifications.py::test_an_end_is_told_of_though_the_queue_forgot_who_waits",
        "not within",
    ),
    Mutant(
        "a silent connection is tested by a fresh one",
        f"{_QUEUE}/link.py",
        "if may_doubt and self.is_dead():",
        "if False:",
        "half_open",
        "no task ended",
    ),
    Mutant(
        "who waits no more takes nobody else's mark along",
        f"{_QUEUE}/lua/await.lua",
        'string.gsub(marks, " [ep]:" .. ARGV.who, "")',
        '""',
        "tests/scripts/test_reading.py::test_a_mark_is_its_makers_and_goes_with_the_last_of_them",
        "assert",
    ),
    Mutant(
        "of those who saw to an instant one goes on from it",
        f"{_SCHEDULER}/lua/advance.lua",
        "state.next_ms == instant",
        "true",
        f"{_SCHEDULES_TEST}::test_of_those_who_saw_to_an_instant_one_goes_on_from_it",
        "assert [True] == [False]",
    ),
    Mutant(
        "a schedule that was changed meanwhile is not gone on from",
        f"{_SCHEDULER}/lua/advance.lua",
        "state.revision == revision and ",
        "",
        f"{_SCHEDULES_TEST}::test_a_schedule_that_changed_meanwhile_is_not_gone_on_from",
        "assert [True] == [False]",
    ),
    Mutant(
        "what another process declares, too, is not retired",
        f"{_SCHEDULER}/lua/include/declarations.lua",
        "if not declared[id] then",
        "if true then",
        f"{_SCHEDULES_TEST}::test_when_those_whose_words_are_in_force_are_gone_the_others_are_asked",
        "assert",
    ),
    Mutant(
        "a time of day that was missing is due when the gap ends",
        _CLOCK,
        "return _jump(_read(wall, zone, fold=1), instant, zone)",
        "return instant",
        _CLOCK_TEST,
        " 00:00:00+00:00",
    ),
    Mutant(
        "a time of day that comes twice is due once",
        _CLOCK,
        "if (due := first_shown(wall, zone)) > now)",
        "if (due := first_shown(wall, zone)))",
        _CLOCK_TEST,
        " 00:00:00+00:00",
    ),
    Mutant(
        "what follows the clock is due again in an hour that comes twice",
        _CLOCK,
        "if len(passes) == 2 and not wall.fold:",
        "if False:",
        _CLOCK_TEST,
        " 00:00:00+00:00",
    ),
)


def main() -> int:
    """Hunt the mutants; return how many got away."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a name; all unless given")
    names = parser.parse_args().names
    hunted = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    escaped = 0
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for mutant, happened in zip(hunted, pool.map(Mutant.hunt, hunted), strict=True):
            print(f"{'ESCAPED' if happened else 'caught '}  without: {mutant.name}  (by {mutant.hunter})", flush=True)
            if happened:
                print(f"         {happened}", flush=True)
            escaped += bool(happened)
    return escaped


if __name__ == "__main__":
    sys.exit(main())
