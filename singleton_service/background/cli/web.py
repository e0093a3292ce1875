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
    # What the parent says comes as a signal, which uvicorn takes.
    with logging_to_stderr(1), supervised.hearing(lambda _why, _within_s: None):
        uvicorn.run(app, host=host, port=int(port), timeout_graceful_shutdown=_LAST_REQUESTS_S)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
