"""What there is once: it cannot be copied or pickled, and only who has opened it gives it back."""

from __future__ import annotations

from typing import NoReturn

from layerstore.process import this_process


class Single:
    """Something that holds what cannot be held twice: a descriptor, a connection, a lock, a place in a store."""

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
    """An open handle. It is its opener's: neither a forked child nor whoever has its attributes gives it back."""

    __opened_by = (0, 0)  # by an object in a process; two underscores, for drivers' authors have names of their own

    def _take_hold(self) -> None:
        """Be the one that has opened it: this object, in this process."""
        self.__opened_by = (id(self), this_process())

    def _opened_here(self) -> bool:
        """Tell whether this object has opened what it holds, in this process."""
        return self.__opened_by == (id(self), this_process())
