"""A scheduler process as a user writes one: argv[1] schedules of a second each, until a signal comes."""

from __future__ import annotations

import logging
import sys

from singleton_service.background.scheduler import SchedulerService

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for n in range(int(sys.argv[1])):
        SchedulerService.schedule_task("tick", {"n": n}, "every 1 seconds", id=f"tick-{n}")
    SchedulerService.run_forever()
    print("ended", SchedulerService.get_scheduler_stats()["is_running"], flush=True)
