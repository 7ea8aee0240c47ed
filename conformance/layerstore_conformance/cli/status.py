"""The exit statuses of the commands; no imports, so that a run of pytest pays nothing for them."""

from typing import Final

CONFIGURATION: Final = 7
"""A run could not begin."""
