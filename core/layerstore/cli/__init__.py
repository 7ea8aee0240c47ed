"""The command line: a thin layer over the service, and the only part of core that uses click and rich."""

import sys
from typing import NoReturn

from layerstore.cli.signals import Stopped, signals


def main() -> NoReturn:
    """Run the program on ``sys.argv`` and exit: the console script ``layerstore``."""
    signals.install()
    try:
        from layerstore.cli.program import program  # late: from here on a signal shows no traceback

        program.main(prog_name="layerstore")
    except Stopped as stopped:  # before a command could begin, or again while the first signal was handled
        sys.exit(stopped.status)
