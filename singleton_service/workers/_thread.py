"""ThreadWorker: a worker in a thread, for work that waits."""

from __future__ import annotations

import threading

from . import _endings
from ._life import Life
from ._story import Story
from ._worker import AbstractWorker

__all__ = ["ThreadWorker"]


class ThreadWorker(AbstractWorker):
    """A worker whose hooks run in a thread of their own: for work that waits for others, in plain or async code.

    ::

        class Watch(ThreadWorker):
            def main(self) -> None:
                while not self.should_stop(within=5.0):
                    look_around()


        watch = Watch()
        watch.start()
        ...
        watch.stop()
        watch.join(timeout=5)

    A thread cannot be ended from outside, only a coroutine in it: `join` returns False for one that does not end.
    """

    def _new_life(self) -> Life:
        return _ThreadLife(self)


class _ThreadLife(Life):
    def begin(self) -> None:
        self._story = Story(self.worker, self)
        self.thread = threading.Thread(target=self._main, name=self.worker.name, daemon=self.worker.daemon)
        _endings.remember(self.worker)
        try:
            self.thread.start()
        except BaseException:
            _endings.forget(self.worker)
            raise

    def interrupt(self) -> bool:
        self.ask_to_stop()
        return self._story.break_off()

    def _main(self) -> None:
        try:
            self._story.run()
        finally:
            self.finish()
