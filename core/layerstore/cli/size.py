"""Sizes as people write them."""

import re
from typing import Any

import click

_SIZE = re.compile(r"([0-9]+)([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def size(text: str) -> int:
    """Read a positive number of bytes: ``1048576``, ``64M``, ``1GiB``; K, M, G and T are powers of 1024."""
    match = _SIZE.fullmatch(text)
    found = int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ") if match else 0
    if found < 1:
        raise click.BadParameter(f"{text!r} is not a size: expected bytes, or a number with K, M, G or T.")
    return found


class Size(click.ParamType[int]):
    """A number of bytes, as an option."""

    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:  # noqa: ANN401  (click's)
        """Read it with :func:`size`."""
        del parameter, context
        return value if isinstance(value, int) else size(value)
