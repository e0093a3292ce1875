"""A pipeline with a monitor beside it: how much information is in the files of a folder, in bits per byte.

    python examples/pipeline.py [FOLDER]

One thread reads, two processes count, one thread collects. The queues between them are bounded, so the reader waits
while the others are busy. Ctrl-C stops the reader; what was read by then is measured, and reported.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from singleton_service.workers import ProcessWorker, Server, ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.queues import Queue

    from singleton_service.workers import AbstractWorker

DATA = Path(__file__).parent / "data"
PROCESSES = 2

Content = tuple[str, bytes]
Row = tuple[str, float]


class Read(ThreadWorker):
    """Reads files, and says to each process when there are no more."""

    def __init__(self, files: Sequence[Path], contents: Queue[Content | None]) -> None:
        super().__init__()
        self.files = files
        self.contents = contents

    def main(self) -> None:
        """Read one file after the other until told to stop."""
        for file in self.files:
            if not self.is_running:
                break
            try:
                self.contents.put((file.name, file.read_bytes()))
            except OSError as error:  # the one error to be expected here; it is not the others' fault
                print(f"{file.name}: {error.strerror}", file=sys.stderr)
        for _ in range(PROCESSES):
            self.contents.put(None)


class Measure(ProcessWorker):
    """Counts bytes, in plain Python: work for a processor of its own."""

    def __init__(self, name: str, contents: Queue[Content | None], rows: Queue[Row | None]) -> None:
        super().__init__(name)
        self.contents = contents
        self.rows = rows

    def main(self) -> None:
        """Measure what comes, until nothing comes any more."""
        while (content := self.contents.get()) is not None:
            name, data = content
            self.rows.put((name, bits_per_byte(data)))
        self.rows.put(None)


class Collect(ThreadWorker):
    """Takes in what was measured."""

    def __init__(self, rows: Queue[Row | None]) -> None:
        super().__init__()
        self.rows = rows
        self.found: dict[str, float] = {}

    def main(self) -> None:
        """Take in rows until all processes have said that there are no more."""
        open_ends = PROCESSES
        while open_ends:
            row = self.rows.get()
            if row is None:
                open_ends -= 1
            else:
                self.found[row[0]] = row[1]


class Monitor(ThreadWorker):
    """Says how things are, several times a second, until the last row is in."""

    def __init__(self, collect: Collect, others: Sequence[AbstractWorker], total: int) -> None:
        super().__init__()
        self.collect = collect
        self.others = others
        self.total = total

    def setup(self) -> None:
        """Look at the clock."""
        self.context.began = time.monotonic()

    def main(self) -> None:
        """Report until the last row is in."""
        while self.collect.is_alive:
            time.sleep(0.2)  # not should_stop: after Ctrl-C, too, it stays until the end
            done = len(self.collect.found)
            rate = done / (time.monotonic() - self.context.began)
            busy = ", ".join(worker.name for worker in self.others if worker.is_alive) or "nobody"
            print(f"{done:3}/{self.total}  {rate:5.1f} a second  busy: {busy}", flush=True)


def bits_per_byte(data: bytes) -> float:
    """Return the entropy of *data*."""
    shares = [count / len(data) for count in Counter(data).values()]
    return sum(-share * math.log2(share) for share in shares)


def main(arguments: Sequence[str]) -> int:
    """Measure the files of a folder; return the exit status."""
    folder = Path(arguments[0]) if arguments else DATA
    files = sorted(file for file in folder.glob("*") if file.is_file())
    if not files:
        print(f"{folder}: no files there", file=sys.stderr)
        return 2
    processes = multiprocessing.get_context("spawn")
    contents: Queue[Content | None] = processes.Queue(maxsize=4)
    rows: Queue[Row | None] = processes.Queue(maxsize=4)
    collect = Collect(rows)
    stages = [Read(files, contents), *(Measure(f"Measure {n}", contents, rows) for n in range(PROCESSES)), collect]
    server = Server("pipeline")
    for worker in (*stages, Monitor(collect, stages, len(files))):
        server.add_worker(worker)

    has_ended = server.run_forever(timeout=60)

    for name, bits in sorted(collect.found.items(), key=lambda row: row[1]):
        print(f"{bits:5.2f}  {name}")
    return 0 if has_ended and len(collect.found) == len(files) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
