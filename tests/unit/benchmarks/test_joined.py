from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.joined import Joined

DEADLINE_S = 10


def test_each_of_many_threads_is_sent_once_and_never_two_at_a_time() -> None:
    sent: list[int] = []
    one_at_a_time = threading.Lock()

    def send(number: int) -> None:
        assert one_at_a_time.acquire(blocking=False)
        sent.append(number)
        one_at_a_time.release()

    joined = Joined(send)
    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(joined.enqueue) for _ in range(4000)]:
            each.result(DEADLINE_S)

    assert sum(sent) == 4000


def test_who_comes_while_one_is_sent_goes_with_the_next() -> None:
    sent: list[int] = []
    is_sending, may_end = threading.Event(), threading.Event()

    def send(number: int) -> None:
        sent.append(number)
        is_sending.set()
        assert may_end.wait(DEADLINE_S)

    joined = Joined(send)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(joined.enqueue)
        assert is_sending.wait(DEADLINE_S)
        others = [threads.submit(joined.enqueue) for _ in range(7)]
        while len(joined._waiting) < 7:
            assert not first.done()
        may_end.set()
        for each in [first, *others]:
            each.result(DEADLINE_S)

    assert sent == [1, 7]
