"""``python -m singleton_service``: the command line, `singleton-service`."""

import sys

from singleton_service.background.cli import command_line

if __name__ == "__main__":
    sys.exit(command_line())
