"""Any fault at any time, from a seed: the same seed strikes the same blows at the same moments."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.proxy import Proxy
    from tests.faults.rig import Program, Rig
    from tests.faults.servers import PlainServer

_LONGEST_WAIT_S = 1.0
_TASKS_PER_S = 60


def soak(rig: Rig) -> None:
    """Random faults, one after the other and some at once, for a while; then all must be well."""
    fate = _Fate(rig)
    rig.figure("seed", rig.size.seed)
    # The number of tasks grows with the time.
    fate.begin(rig.size.soak_s)
    ends_at = time.monotonic() + rig.size.soak_s
    while time.monotonic() < ends_at:
        rig.sleep(rig.random.random() * _LONGEST_WAIT_S)
        fate.strike()
    fate.relent()
    rig.drain(120)
    rig.bite("blows", len(fate.blows), rig.size.soak_s / 2)
    rig.figure("kinds of blows", len(set(fate.blows)))
    rig.bite("recovered tasks", rig.stats()["tasks_recovered"])
    rig.judge()
    rig.watch_stalls()


class _Fate:
    """Strikes."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._server: PlainServer = rig.plain_server()
        self._lines = [rig.proxy(), rig.proxy()]
        self._crew: list[tuple[Program, Proxy, bool]] = []
        self.blows: list[str] = []

    def begin(self, seconds: float) -> None:
        for loop in (False, False, True):
            self._hire(loop)
        for line in self._lines:
            tasks = int(max(self._rig.size.tasks / 2, seconds * _TASKS_PER_S / 2))
            self._rig.load(seconds, threads=18, tasks=tasks, producers=1, via=line, delayed=0.1)

    def strike(self) -> None:
        blows = (
            self._kill_worker,
            self._stop_worker,
            self._cut,
            self._forget,
            self._hold,
            self._drop_answers,
            self._slow_down,
            self._kill_clients,
            self._flush_scripts,
            self._pause_clients,
            self._stop_server,
            self._kill_server,
        )
        blow = self._rig.random.choice(blows)
        self.blows.append(blow.__name__)
        blow()

    def relent(self) -> None:
        for line in self._lines:
            line.calm()

    def _line(self) -> Proxy:
        return self._rig.random.choice(self._lines)

    def _hire(self, loop: bool) -> None:  # noqa: FBT001 - of one kind or the other
        line = self._line()
        (worker,) = self._rig.workers(1, 6, via=line, loop=loop)
        self._crew.append((worker, line, loop))

    def _kill_worker(self) -> None:
        victim = self._rig.random.randrange(len(self._crew))
        worker, _, loop = self._crew.pop(victim)
        worker.kill()
        self.relent()
        self._hire(loop)

    def _stop_worker(self) -> None:
        worker = self._rig.random.choice(self._crew)[0]
        worker.send(signal.SIGSTOP)
        self._rig.sleep(self._rig.size.lease_s * 1.5 * self._rig.random.random())
        worker.send(signal.SIGCONT)

    def _cut(self) -> None:
        self._line().cut()

    def _forget(self) -> None:
        self._line().forget()

    def _hold(self) -> None:
        line = self._line()
        with self._rig.fault():
            line.hold()
            self._rig.sleep(self._rig.size.lease_s * 1.5 * self._rig.random.random())
            line.calm()

    def _drop_answers(self) -> None:
        line = self._line()
        line.drop_answers(self._rig.random.choice(("enqueue", "fetch", "complete", "heartbeat", "recover")), 0.3)
        self._rig.sleep(1)
        line.calm()

    def _slow_down(self) -> None:
        line = self._line()
        line.delay(0.001, 0.1)
        self._rig.sleep(1)
        line.calm()

    def _kill_clients(self) -> None:
        self._server.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _flush_scripts(self) -> None:
        self._server.admin.script_flush()

    def _pause_clients(self) -> None:
        pause_ms = self._rig.random.randrange(50, 800)
        with self._rig.fault():
            self._server.admin.execute_command("CLIENT", "PAUSE", pause_ms, "ALL")
            self._rig.sleep(pause_ms / 1000)

    def _stop_server(self) -> None:
        with self._rig.fault():
            self._server.send(signal.SIGSTOP)
            self._rig.sleep(self._rig.size.lease_s * 1.5 * self._rig.random.random())
            self._server.send(signal.SIGCONT)

    def _kill_server(self) -> None:
        with self._rig.fault():
            self._server.kill()
            self._rig.sleep(self._rig.random.random())
            self._server.start()
