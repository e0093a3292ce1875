"""What the workers of the web application do. Its routes are in fastapi_tasks.py."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from services.task_queue import PermanentError, Task, TaskQueueService, current_task, task
from services.worker import WorkerService

DATA = Path(__file__).parent / "data"


@task
def count_words(text: str) -> dict[str, int]:
    """Count the words of a text, and the different ones among them."""
    words = text.lower().split()
    return {"words": len(words), "different": len(set(words))}


@task
async def fetch_data(name: str) -> dict[str, Any]:
    """Fetch a file of examples/data. A coroutine: however many wait, they take one thread."""
    source = DATA / name
    if source not in DATA.iterdir():
        raise PermanentError(f"there is no {name!r} in examples/data")
    content = await asyncio.to_thread(source.read_bytes)
    return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@task
def remind(of: str) -> str:
    """Say it."""
    return f"Remember: {of}"


@task(max_retries=0)
def monitor(run: str, every_seconds: float, until: datetime, number: int = 1) -> dict[str, Any]:
    """Look how this process does, and enqueue the next look, unless it would come after the end.

    The next one's id follows from this one's, so a look that has to run twice has one successor all the same.
    """
    goes_on = datetime.now(UTC) + timedelta(seconds=every_seconds) <= until
    if goes_on and TaskQueueService.is_accepting_tasks():
        following = {"run": run, "every_seconds": every_seconds, "until": until, "number": number + 1}
        TaskQueueService.enqueue_task(monitor.name, following, every_seconds, tags=[run], task_id=f"{run}-{number + 1}")
    return WorkerService.get_performance_metrics()


@task(timeout=60)
def factorise(numbers: list[int]) -> dict[str, list[int]]:
    """Take numbers apart, and say after each how far it has come."""
    found: dict[str, list[int]] = {}
    running = current_task()
    for done, number in enumerate(numbers, 1):
        found[str(number)] = factors(number)
        if running:
            running.progress(100 * done / len(numbers), f"{number} = {' x '.join(map(str, found[str(number)]))}")
    return found


@task(max_retries=3, retry_delay_seconds=0.2, retry_backoff=2)
def call_flaky_service(failures: int) -> str:
    """Succeed at last. Each wait is twice as long as the one before."""
    running = current_task()
    attempt = running.attempt if running else 1
    if attempt <= failures:
        raise ConnectionError(f"no answer at attempt {attempt}")
    return f"an answer at attempt {attempt}"


def is_worth_another_try(task: Task, error: BaseException) -> bool:
    """Judge an error: a broken line heals, a bad value stays bad, anything else gets one more chance."""
    if isinstance(error, ConnectionError):
        return True
    return not isinstance(error, ValueError) and task.retry_count == 0


@task(max_retries=3, retry_delay_seconds=0.1, on_error=is_worth_another_try)
def fail_with(kind: Literal["connection", "value", "other"]) -> None:
    """Fail, for the judge above to have something to judge."""
    raise {"connection": ConnectionError, "value": ValueError, "other": RuntimeError}[kind](f"an error: {kind}")


@task
def count_primes(below: int) -> int:
    """Count the primes below a number, with Eratosthenes' sieve."""
    sieve = bytearray([1]) * max(below, 2)
    sieve[0:2] = b"\0\0"
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, len(sieve), number)))
    return sum(sieve)


def factors(number: int) -> list[int]:
    """Return the prime factors of a number, the least first."""
    found = []
    for candidate in itertools.chain([2], itertools.count(3, 2)):
        while number % candidate == 0 and number > 1:
            found.append(candidate)
            number //= candidate
        if candidate * candidate > number:
            return [*found, number] if number > 1 else found
    raise AssertionError("there is always another candidate")
