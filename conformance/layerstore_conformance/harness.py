"""The harness: how the suite opens the driver under test, and what else the author offers it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import ContextVar
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from layerstore import open_driver
from layerstore.checked import CheckedDriver
from layerstore.hashing import sha256
from layerstore_conformance.kit import another_user, small_disk
from layerstore_conformance.kit.holes import free_of_charge
from layerstore_conformance.kit.known import open_known
from layerstore_conformance.powerloss import strace

if TYPE_CHECKING:
    from layerstore.driver import Capabilities, Driver
    from layerstore_conformance.powerloss.losses import Rebuilt as Remade


How = Literal["make", "append", "truncate", "replace", "replace-quietly", "remake", "remake-otherwise", "delete"]
"""A change by another program, behind the driver's back.

``make`` stores an object under a key that has none; all others change one that is there.
``append`` and ``truncate`` change its length in place. ``replace`` stores other bytes of the same size;
``replace-quietly`` does so and keeps, or sets back, as much as the backend allows: times, metadata, content type, the
file itself. ``remake`` deletes the object and makes it again with the same bytes,
``remake-otherwise`` with other bytes. ``delete`` leaves none."""

HOWS: tuple[How, ...] = tuple(how for how in get_args(How) if how != "make")
"""The changes of what is there."""

Tamper = Callable[[str, How], None]
"""Takes a whole key and a change, and makes it; :func:`changed` returns the bytes that must be there afterwards."""

Foreign = Callable[[str], AbstractContextManager[Collection[str]]]
"""Takes a prefix, and puts every kind of foreign thing that the backend can hold directly below it. Directories above
are made. The block gets the whole names of these things, exactly as ``scan`` yields them: that of a directory ends in a
slash. At its end they are removed. Beside them there may be harmless things, whose names the block does not get."""

Between = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Takes a callable, and calls it between any two requests of the driver in the block, in whichever thread."""

_OTHERWISE = bytes(each ^ 0xFF for each in range(256))


_MADE = ContextVar("_MADE", default=b"made by another program")


@contextmanager
def making(data: bytes) -> Iterator[None]:
    """Have what another program makes in the block hold these bytes, for scenarios that make it of some size."""
    before = _MADE.set(data)
    try:
        yield
    finally:
        _MADE.reset(before)


def changed(data: bytes, how: How) -> bytes | None:
    """Return the bytes of an object after another program's change; None if it is gone.

    What is made has the bytes that :func:`making` says, whatever ``data`` says.
    """
    if how == "make":
        return _MADE.get()
    if how == "delete":
        return None
    if how == "append":
        return data + b"appended by another program"
    if how == "truncate":
        return data[: len(data) // 2]
    if how == "remake":
        return data
    return data.translate(_OTHERWISE) or b"made otherwise"


Away = Callable[[], AbstractContextManager[None]]
"""Takes the whole backend away for the block, and puts it back, as it was."""

Traced = Callable[[Path], "str | Callable[[], Driver]"]
"""Takes an empty directory, and returns the URL of a store that keeps everything in it; or a function that opens it,
which another process can import."""

Rebuilt = Callable[[Path, Mapping[int, "Remade"]], None]
"""Takes a directory whose files were made again, and what became of the files, by their old inode numbers. It changes
what the driver has noted of inode numbers and times."""

OFFERS = frozenset(
    {
        *("url", "side_door", "tamper", "foreign", "missing", "another", "away", "restart", "cut", "fork"),
        *("between_requests", "traced"),
    }
)
"""Everything that a harness may offer."""


class SideDoor(Protocol):
    """A way to look at the backend without the driver under test."""

    def read(self, key: str) -> bytes | None:
        """Return the bytes of an object; None if there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key below a prefix, of objects only."""


class Harness:
    """The author's part of the suite. With only a URL, everything essential runs.

    ::

        Harness("mystore://bucket")                             # opened anew for every fresh handle
        Harness(factory=lambda: MyDriver(connection))           # no URL: scenarios with a second process are skipped
        Harness("mystore://bucket", side_door=RawBucket(...))   # checks through the backend's own tools
        Harness("mystore://bucket", tamper=change_by_sdk)       # changes through those tools

    The backend may hold other objects: every scenario has a random prefix to itself, and leaves nothing below it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        factory: Callable[[], Driver] | None = None,
        side_door: SideDoor | None = None,
        tamper: Tamper | None = None,
        foreign: Foreign | None = None,
        missing: str | None = None,
        another: str | None = None,
        away: Away | None = None,
        restart: Callable[[], None] | None = None,
        cut: Callable[[], None] | None = None,
        between_requests: Between | None = None,
        traced: Traced | None = None,
        rebuilt: Rebuilt | None = None,
        fork: bool = True,
        scale: float = 1.0,
    ) -> None:
        """Open the driver by ``url``, or by ``factory``, which must open the same store at every call.

        ``tamper`` changes an object as another program does; ``foreign`` puts foreign things beside the objects.
        ``missing`` is the URL of a backend that does not exist: an unknown bucket, a directory never made. ``another``
        is that of another store of the same backend, which may hold anything: another bucket or directory. ``away``
        takes the backend away for a block, while handles are open, as a disk that is unmounted: a directory can have
        another name meanwhile. ``restart`` kills the backend and starts it again; ``cut`` breaks every open connection
        to it, and lets new ones be made. Both return when it is done. ``between_requests`` takes a callable, and calls
        it between any two requests that the driver sends to its backend during a block, so that another handle can act
        in the middle of a call. ``traced`` is for a driver that keeps files: it returns the URL of another store, in a
        directory that it is given; what survives a loss of power is tried there (clause C4). Such a driver that notes
        inode numbers needs ``rebuilt``, too. ``fork`` is false for a driver whose client does not survive a fork of its
        process (clause T5). A ``scale`` below 1 shrinks the sizes and repetitions of scenarios, for a slow or costly
        backend.

        Raises:
            ValueError: both or neither of url and factory are given, or the scale is not above 0 or is above 1.
        """
        if (url is None) == (factory is None):
            raise ValueError("a harness takes either a url or a factory")
        if not 0 < scale <= 1:  # nor is NaN
            raise ValueError(f"scale must be above 0, and at most 1, not {scale}")
        self.url = url
        self.side_door = side_door
        self.tamper = tamper
        self.foreign = foreign
        self.missing = missing
        self.another = another
        self.away = away
        self.restart = restart
        self.cut = cut
        self.between_requests = between_requests
        self.traced = traced
        self.rebuilt = rebuilt
        self.fork = fork and hasattr(os, "fork")
        self.scale = scale
        self._factory = factory

    def open(self) -> CheckedDriver:
        """Open a fresh handle on the store."""
        if self._factory is None:
            return open_known(self._url)
        driver = self._factory()
        return driver if isinstance(driver, CheckedDriver) else CheckedDriver(driver)

    def declared(self, capabilities: Capabilities) -> frozenset[str]:
        """Return the names of the capabilities and offers that scenarios may need."""
        names = {name for name in ("nested_keys", "shared", "durable") if getattr(capabilities, name)}
        names |= {name for name in OFFERS if getattr(self, name)}
        names |= {"another"} if self.traced is not None else set()
        names -= set() if strace.works() else {"traced"}
        names |= {"hypothesis"} if find_spec("hypothesis") else set()
        names |= {"holes"} if self._has_free_holes else set()
        names |= {"small_disk"} if self.traced is not None and small_disk.works() else set()
        names |= {"another_user"} if self.traced is not None and another_user.works() else set()
        return frozenset(names | ({"hash_state"} if sha256.exportable() else set()))

    @cached_property
    def _has_free_holes(self) -> bool:
        """Whether a gap costs the driver nothing; tried once, because scenarios store gaps of GiB if so."""
        with closing(self.open()) as driver:
            return free_of_charge(driver, "layerstore-conformance")

    @cached_property
    def _url(self) -> str:
        """The URL, which every user can open: an unknown option or contract is refused here."""
        assert self.url is not None, "checked in the constructor"
        open_driver(self.url).close()
        return self.url
