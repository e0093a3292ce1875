"""What a worker process costs and gets done, for dashboards and logs."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


class Usage:
    """The process's use of the machine between one look and the next. Not thread-safe by itself: callers lock."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._looked_at, self._cpu_s = self.began, time.process_time()

    def cpu_percent(self) -> float:
        """Return the CPU time used since the last look, in percent of one processor."""
        now, cpu_s = time.monotonic(), time.process_time()
        percent = 100 * (cpu_s - self._cpu_s) / max(now - self._looked_at, 1e-6)
        self._looked_at, self._cpu_s = now, cpu_s
        return round(percent, 1)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident_mb() -> float:
    """Return the memory the process has in RAM, MB (10^6 bytes); where only its peak is known, that."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - one line of the kernel's, read at once
            pages = int(statm.read().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except OSError:
        import resource  # noqa: PLC0415 - not on every system

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def performance(usage: Usage, counts: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics that `WorkerService.get_performance_metrics` describes."""
    uptime_s = time.monotonic() - usage.began
    ended = counts["tasks_processed"] + counts["tasks_failed"]
    return {
        "cpu_percent": usage.cpu_percent(),
        "memory_usage_mb": resident_mb(),
        "active_workers": counts["active_workers"],
        "busy_workers": counts["busy_workers"],
        "throughput": round(ended / uptime_s, 3) if uptime_s > 0 else 0.0,
        "error_rate": round(counts["tasks_failed"] / ended, 4) if ended else None,
        "uptime_seconds": round(uptime_s, 3),
    }
