"""The process of a web app, under a supervisor: `python -m ... APP:NAME HOST PORT --line N`."""

from __future__ import annotations

import sys

import uvicorn

from singleton_service.background.supervisor import Supervised

from .loading import load_module
from .logs import logging_to_stderr
from .problems import CommandError, ExitCode, report

# Whoever keeps a connection open must not keep the new code away for long.
_LAST_REQUESTS_S = 3


def main() -> int:
    """Serve the app until told to stop."""
    app, host, port, _, line = sys.argv[1:]
    supervised = Supervised(int(line))
    try:
        load_module(app.partition(":")[0])
    except CommandError as error:
        return report(error)
    config = uvicorn.Config(app, host=host, port=int(port), timeout_graceful_shutdown=_LAST_REQUESTS_S)
    server = uvicorn.Server(config)

    def leave(_why: str, _within_s: float | None) -> None:
        # It comes as a signal, which uvicorn hears by itself: but not before it has begun.
        server.should_exit = True

    with logging_to_stderr(1), supervised.hearing(leave):
        server.run()
    return ExitCode.OK if server.started or server.should_exit else ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main())
