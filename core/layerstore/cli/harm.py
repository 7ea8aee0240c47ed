"""The error for findings of harm: the exit status is 1, after all findings are listed."""

import click


class HarmError(click.ClickException):
    """The command ran to its end, and has listed on stdout what it found, or could not do."""
