"""Run a program of this folder with a clock that is wrong: python -m tests.faults.skewed_clock SECONDS MODULE ARGS...

Only what Python programs ask is moved (time.time, time.time_ns, datetime.now); monotonic clocks are not.
"""

from __future__ import annotations

import datetime as dt
import runpy
import sys
import time
from typing import Self


def skew(seconds: float) -> None:
    """Move this process's clock. Call it before anything else takes a reference to the functions it replaces."""
    true_time, true_time_ns = time.time, time.time_ns
    shift = dt.timedelta(seconds=seconds)

    class SkewedDatetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return super().now(tz) + shift

        @classmethod
        def utcnow(cls) -> Self:
            return super().now(dt.UTC).replace(tzinfo=None) + shift

    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_time_ns() + round(seconds * 1e9)
    dt.datetime = SkewedDatetime  # type: ignore[misc]  # the point of it


if __name__ == "__main__":
    seconds, module, *arguments = sys.argv[1:]
    skew(float(seconds))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
