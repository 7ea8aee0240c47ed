"""Sizes as people write them."""

import re

import click

_SIZE = re.compile(r"([0-9]+)([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def size(text: str) -> int:
    """Read a positive number of bytes: ``1048576``, ``64M``, ``1GiB``; K, M, G and T are powers of 1024."""
    match = _SIZE.fullmatch(text)
    found = int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ") if match else 0
    if found < 1:
        raise click.BadParameter(f"{text!r} is not a size: expected bytes, or a number with K, M, G or T.")
    return found
