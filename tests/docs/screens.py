"""The pictures of the pages: `python -m tests.docs.screens` draws them anew, by the code that draws the screens."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from singleton_service.background.cli.overview import Overview
from singleton_service.background.cli.status import screen
from singleton_service.background.task_queue import Task, TaskError, TaskStatus
from singleton_service.background.worker import WorkerInfo

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 96
# Whoever looks at a page shall fetch no font for it.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def status_svg() -> str:
    """Return `singleton-service status` as a picture."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen(_overview(), "redis://localhost:6379/0", WIDTH))
    return console.export_svg(title="singleton-service status --watch", code_format=FORMAT, unique_id="status")


def _overview() -> Overview:
    now = datetime.now(UTC)
    counts = {"pending": 0, "delayed": 0, "running": 0, "held": 0, "failed": 0, "completed": 0, "workers": 2}
    return Overview(
        at=now,
        server="redis://localhost:6379/0",
        namespace="tasks",
        last_minute={"enqueued": 184, "completed": 180, "failed": 2, "retried": 3},
        queues=[
            {"name": "critical", **counts, "completed": 212, "paused": False},
            {
                "name": "default",
                **counts,
                "pending": 14,
                "delayed": 3,
                "running": 8,
                "failed": 2,
                "completed": 48_113,
                "paused": False,
            },
            {"name": "low", **counts, "pending": 1200, "held": 1, "completed": 970, "paused": True},
        ],
        workers=[
            WorkerInfo(
                f"id-{pid}", "web-1", pid, now - timedelta(hours=3), now, ("critical", "default", "low"), running, held
            )
            for pid, running, held in ((4711, 4, 9), (4712, 4, 8))
        ],
        failures=[
            Task(
                f"default.91m81q{uid}",
                name,
                {},
                TaskStatus.FAILED,
                now - age,
                completed_at=now - age,
                error_message=message,
                errors=(TaskError(now - age, kind, message),),
            )
            for uid, name, age, kind, message in (
                ("0c8x7c41ptr2be", "average", timedelta(seconds=9), "ZeroDivisionError", "division by zero"),
                ("0a0k2m8z3h7dq1", "send_email", timedelta(seconds=41), "TimeoutError", "the mail server is silent"),
            )
        ],
    )


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "status.svg").write_text(status_svg(), encoding="utf-8")
