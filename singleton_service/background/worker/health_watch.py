"""Whether the fetch loop of this process goes round, said where supervisors look, and the end of a process where not.

The loop counts its rounds, and is rung so that an idle one makes one, too. Nothing is asked of the server for it, and
nothing is said in the loop's own thread: a full disk or a slow probe must not hold up tasks.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from math import inf
from typing import TYPE_CHECKING, Final, NoReturn

from singleton_service._signals import leave_signals_to_the_main_thread

from .health import Health, HealthProbeError
from .notes import BLOCKED, STANDS_STILL, NotePad
from .standstill import Standstill
from .systemd import notify

if TYPE_CHECKING:
    from pathlib import Path

    from singleton_service.background.config import PlainSettings

    from .crew import Crew
    from .health_page import HealthPage

logger = logging.getLogger("singleton_service.worker")

# Of a process that ended itself because its fetch loop stood still.
STALLED_EXIT_STATUS: Final = 70

_LONGEST_BETWEEN_LOOKS_S = 1.0
_LOOKS_PER_STALL = 4
_LAST_WORDS_S = 2.0


class HealthWatch:
    """Looks at the workers of this process, from the call that starts them to the end of their stop.

    Attributes:
        is_standalone: whether this process is there for its workers alone. Then it ends when their loop stands still
            for twice `TASKS_STALL_SECONDS`, and systemd is told how it is.
        is_stopping: whether a stop has begun. Who starts workers after it needs another watch.
    """

    def __init__(self, settings: PlainSettings) -> None:
        """Begin to tell.

        Raises:
            HealthProbeError: the port or the file that the settings name can't be used.
        """
        self.is_standalone = False
        self._stall_s = settings.stall_seconds or inf
        self._look_every_s = min(_LONGEST_BETWEEN_LOOKS_S, self._stall_s / _LOOKS_PER_STALL)
        self._standstill = Standstill(self._look_every_s)
        self._crew: Crew | None = None
        self.is_stopping = False
        self._notes: NotePad | None = None
        self._stopping = threading.Lock()
        self._stopped = threading.Event()
        self._file = settings.health_file
        self._page = None if settings.health_port is None else _page(settings, self)
        try:
            if self._file is not None:
                _write(self._file, str(self.health()))
        except HealthProbeError:
            if self._page is not None:
                self._page.stop()
            raise
        self._thread = threading.Thread(target=self._keep_watch, name="worker-health", daemon=True)
        self._thread.start()

    def follow(self, crew: Crew) -> None:
        """Look at these workers from now on: they have started."""
        self._notes = NotePad(crew.client)
        self._crew = crew
        self._tell_systemd("READY=1", "STATUS=takes tasks")

    def begin_stop(self) -> None:
        """Be ready no more."""
        self.is_stopping = True
        self._tell_systemd("STOPPING=1", "STATUS=lets running tasks end")

    def stop(self) -> None:
        """Look no more, once the workers have ended; again is harmless."""
        with self._stopping:
            if self._stopped.is_set():
                return
            self._stopped.set()
            self._thread.join()
            if self._notes is not None:
                self._notes.close()
            if self._page is not None:
                self._page.stop()
            if self._file is not None:
                self._file.unlink(missing_ok=True)

    def health(self) -> Health:
        """Say how this process is. Asks nobody: any thread, as often as it likes."""
        still_s, crew = self._standstill.seconds, self._crew
        if still_s > self._stall_s:
            return Health(is_live=False, is_ready=False, reason=f"its fetch loop has stood still for {still_s:.0f} s")
        reason = ""
        if self.is_stopping:
            reason = "it is being stopped"
        elif crew is None:
            reason = "its workers have not started"
        elif not crew.is_serving:
            reason = "its fetch loop died and is started again"
        elif (outage := crew.outage) is not None:
            reason = str(outage)
        return Health(is_live=True, is_ready=not reason, reason=reason)

    def _keep_watch(self) -> None:
        leave_signals_to_the_main_thread()
        while not self._stopped.wait(self._look_every_s):
            if self._has_moved():
                self._tell_systemd("WATCHDOG=1")
                if self._file is not None:
                    self._write_file(self._file)
            elif self._standstill.seconds > 2 * self._stall_s and self.is_standalone:
                end_process(self._standstill.seconds)
            if self._notes is not None:
                self._notes.keep(self._troubles())

    def _troubles(self) -> dict[str, str]:
        health, crew = self.health(), self._crew
        blocked = "" if crew is None else crew.last_block
        troubles = {BLOCKED: blocked, STANDS_STILL: "" if health.is_live else "its fetch loop stands still"}
        return {kind: trouble for kind, trouble in troubles.items() if trouble}

    def _has_moved(self) -> bool:
        crew = self._crew
        if crew is None:
            return True
        has_moved = self._standstill.look(crew.rounds, time.monotonic())
        # One that sleeps goes round by the next look.
        crew.ring()
        return has_moved

    def _tell_systemd(self, *words: str) -> None:
        if self.is_standalone:
            notify(*words)

    def _write_file(self, file: Path) -> None:
        try:
            _write(file, str(self.health()))
        except HealthProbeError as error:
            # What was there grows old, as it should when nothing more can be said.
            logger.debug("%s", error)


def end_process(still_s: float) -> NoReturn:
    """End this process at once, with STALLED_EXIT_STATUS: what hangs would hang an orderly end as well.

    What it held runs elsewhere when its lease has ended.
    """
    # The log may be what hangs.
    last_words = threading.Thread(target=_say_why, args=(still_s,), daemon=True)
    last_words.start()
    last_words.join(_LAST_WORDS_S)
    os._exit(STALLED_EXIT_STATUS)


def _say_why(still_s: float) -> None:
    frames = sys._current_frames()
    stacks = [
        "".join(traceback.format_stack(frames[thread.ident]))
        for thread in threading.enumerate()
        if thread.name == "worker-dispatcher" and thread.ident in frames
    ]
    logger.critical(
        "the fetch loop has stood still for %.0f s: this process ends itself with status %d, to be started again; its "
        "tasks go on elsewhere. It stands here:\n%s",
        still_s,
        STALLED_EXIT_STATUS,
        "".join(stacks) or "(its thread has ended)",
    )
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _write(file: Path, word: str) -> None:
    try:
        file.write_text(word + "\n", encoding="utf-8")
    except OSError as error:
        raise HealthProbeError(
            "TASKS_HEALTH_FILE",
            str(file),
            error.strerror or str(error),
            "Name a file in a directory that exists and that this user may write to.",
        ) from error


def _page(settings: PlainSettings, watch: HealthWatch) -> HealthPage:
    from .health_page import HealthPage  # noqa: PLC0415 - an HTTP server, for those who want one

    assert settings.health_port is not None
    return HealthPage(settings.health_host, settings.health_port, watch.health)
