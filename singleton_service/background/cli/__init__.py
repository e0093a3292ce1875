"""The command line `singleton-service`: one file per verb, each a thin call into a service.

Modules of verbs are imported when their verb is used (commands.py), so that `--help` costs little.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command_line"]

_MISSING = 'singleton-service: the command line needs {name}: pip install "singleton-service[cli]"\n'


def command_line(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, with the arguments of this process unless others are given; return the exit status.

    Where click is not installed, one line says how to get it.
    """
    try:
        from .main import run  # noqa: PLC0415 - click comes with an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(_MISSING.format(name=error.name))
        return 1
    return run(sys.argv[1:] if arguments is None else arguments)
