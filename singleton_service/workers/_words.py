"""What a process worker and its parent say to each other, over one pipe. Its end says: I am gone."""

from __future__ import annotations

__all__ = ["DONE", "LEAVE", "MAIN_IS_OVER", "STOP"]

# From the parent.
STOP = b"stop"
LEAVE = b"leave"  # now: main is broken off

# From the worker.
MAIN_IS_OVER = b"main is over"
DONE = b"done"  # all hooks have run, and main returned
