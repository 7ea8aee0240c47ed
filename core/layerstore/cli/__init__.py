"""The command line: a thin face over the service, and the only part of core that draws on click and rich."""

import sys
from typing import NoReturn

from layerstore.cli.signals import Stopped, signals


def main() -> NoReturn:
    """Run the program on ``sys.argv`` and exit: the console script ``layerstore``."""
    signals.install()
    try:
        from layerstore.cli.program import program  # late: from here on, being stopped is no traceback

        program.main(prog_name="layerstore")
    except Stopped as stopped:  # before a command could begin, or once more while the first was dealt with
        sys.exit(stopped.status)
