"""The work itself: what a worker does with one file. Each may run twice, so each writes whole files or none."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from services.task_queue import TaskQueueService, task

THUMBNAIL_SIDE_PX = 256
REFUSALS = 2
Payload = dict[str, Any]


@task(max_retries=1, retry_delay_seconds=0.5)
def thumbnail(payload: Payload) -> dict[str, Any]:
    """Shrink a photograph until it fits a square of 256 pixels."""
    target = Path(payload["target"])
    with Image.open(payload["path"]) as photograph:
        upright = ImageOps.exif_transpose(photograph).convert("RGB")
    before = upright.size
    upright.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    jpeg = io.BytesIO()
    upright.save(jpeg, "JPEG", quality=85)
    write_whole(target, jpeg.getvalue())
    return {"file": str(target), "was": _size(before), "is": _size(upright.size)}


@task(max_retries=1, retry_delay_seconds=0.5)
async def word_count(payload: Payload) -> dict[str, Any]:
    """Count the words of a text. A task may be a coroutine, too."""
    text = Path(payload["path"]).read_text(encoding="utf-8", errors="replace")  # noqa: ASYNC240 - a small local file
    words = [word.strip(".,;:!?\"'()[]_*-").lower() for word in text.split()]
    words = [word for word in words if word]
    long_words = Counter(word for word in words if len(word) > 5)
    return {
        "words": len(words),
        "lines": text.count("\n"),
        "favourites": [word for word, _ in long_words.most_common(3)],
    }


@task(max_retries=1, retry_delay_seconds=0.5)
def sha256(payload: Payload) -> dict[str, Any]:
    """Fingerprint a file."""
    with Path(payload["path"]).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return {"sha256": digest.hexdigest(), "bytes": file.tell()}


@task(max_retries=4, retry_delay_seconds=0.3)
def catalogue(payload: Payload) -> dict[str, Any]:
    """List the files in a CSV file, for an archive that opens at the third knock.

    The archive stands for any service that is away for a moment. Its refusals are counted on disk, since
    the next attempt may be made by another process.
    """
    target = Path(payload["target"])
    knocks = target.with_suffix(".knocks")
    knock = int(knocks.read_text(encoding="ascii")) + 1 if knocks.exists() else 1
    write_whole(knocks, str(knock).encode())
    if knock <= REFUSALS:
        raise ConnectionError(f"the archive does not answer (knock {knock}; it opens at the third)")

    folder = Path(payload["folder"])
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(["file", "bytes"])
    rows.writerows([name, (folder / name).stat().st_size] for name in read_json(payload["names"]))
    write_whole(target, table.getvalue().encode())
    knocks.unlink(missing_ok=True)
    return {"file": str(target), "knocks": knock}


@task(max_retries=1, retry_delay_seconds=0.5)
def take_stock(payload: Payload) -> dict[str, Any]:
    """Note how far the work has come. The scheduler enqueues this one, every few seconds."""
    output = Path(payload["output"])
    thumbnails = len(list((output / "thumbnails").glob("*.jpg")))
    output.mkdir(parents=True, exist_ok=True)
    with (output / "stock.log").open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}  {thumbnails} thumbnails\n")
    return {"thumbnails": thumbnails}


@task(max_retries=1, retry_delay_seconds=0.5)
def write_report(payload: Payload) -> dict[str, Any]:
    """Write down what all the others found, read back from their stored results."""
    target = Path(payload["target"])
    lines = [f"# {payload['title']}", "", "| File | Work | Result |", "|---|---|---|"]
    for kind, name, task_id in read_json(payload["tasks"]):
        result = TaskQueueService.get_result(task_id)
        found = ", ".join(f"{key} {_plain(value)}" for key, value in result.items())
        lines.append(f"| {name} | {kind} | {found} |")
    write_whole(target, "\n".join([*lines, ""]).encode())
    return {"file": str(target), "rows": len(lines) - 4}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it, not even after a kill -9."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def read_json(path: str) -> Any:
    """Read a list too long to travel in a payload."""
    return json.loads(Path(path).read_bytes())


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
