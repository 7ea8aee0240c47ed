"""Names that were replaced: they stay importable for a while, with a warning (docs/api.md, "What may change")."""

import warnings
from collections.abc import Callable, Mapping


def renamed(module: str, old: Mapping[str, type]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a module some of whose classes had other names, which are the keys of ``old``."""

    def getattr_(name: str) -> object:
        if name not in old:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{name} is deprecated: use {old[name].__name__}", DeprecationWarning, stacklevel=2)
        return old[name]

    return getattr_
