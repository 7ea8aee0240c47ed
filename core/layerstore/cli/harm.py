"""What those who look after a store have to see to: a status that is not 0, after all that was found is listed."""

import click


class HarmError(click.ClickException):
    """The command went through, and what it found or could not do is listed on stdout."""
