"""How a process ended, in words."""

from __future__ import annotations

import signal

from singleton_service.background.worker.health_watch import STALLED_EXIT_STATUS

_GUESSES = {
    signal.SIGKILL: "by somebody, or by the kernel for want of memory",
    signal.SIGSEGV: "native code went wrong",
    signal.SIGBUS: "native code went wrong, or a file it had mapped is gone",
    signal.SIGABRT: "native code gave up",
    signal.SIGILL: "native code went wrong, or is for another processor",
    signal.SIGTERM: "before it could act upon it",
}


def ended(code: int) -> str:
    """Say what an exit code means, that of a signal being negative: "was killed by SIGSEGV: native code went wrong"."""
    if code == 0:
        return "ended, though nobody here had told it to"
    if code == STALLED_EXIT_STATUS:
        return "stood still and ended itself: its log has where"
    if code > 0:
        return f"ended with exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:  # one of those that have no name
        return f"was killed by signal {-code}"
    guess = _GUESSES.get(number)
    return f"was killed by {number.name}" + (f": {guess}" if guess else "")
