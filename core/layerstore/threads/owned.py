"""Objects that exist once: they cannot be copied or pickled, and only their opener gives back what they hold."""

from __future__ import annotations

from typing import NoReturn

from layerstore.threads.process import this_process


class Single:
    """An object that holds what cannot be held twice: a descriptor, a connection, a lock, a place in a store."""

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied, by :mod:`copy` or :mod:`dataclasses`, and to be pickled.

        Raises:
            TypeError: always.
        """
        kind = type(self).__name__
        raise TypeError(f"a {kind} cannot be copied or pickled: what it holds is held once; open another {kind}")

    def __getstate__(self) -> NoReturn:
        """Refuse, as :meth:`__reduce__` does."""
        self.__reduce__()


class Owned(Single):
    """An open handle. Only its opener gives it back: neither a forked child nor an object with its attributes does."""

    __opened_by = (0, 0)  # the object and the process; two underscores, since drivers' authors have names of their own

    def _take_hold(self) -> None:
        """Note that this object has opened it, in this process."""
        self.__opened_by = (id(self), this_process())

    def _opened_here(self) -> bool:
        """Return whether this object has opened it, in this process."""
        return self.__opened_by == (id(self), this_process())
