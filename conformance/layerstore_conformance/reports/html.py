"""The templates of pages. Imported late: only pages need jinja2."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def pages(*packages: str) -> Environment:
    """Return the templates of packages, the first before the next, for HTML: what they are given is escaped."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
