"""The harness: how the suite gets at the driver under test, and what it may ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from functools import cached_property, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from layerstore import StoreURL, open_driver, sha256
from layerstore.checked import CheckedDriver
from layerstore.driver import call_driver
from layerstore.registry import Registry

if TYPE_CHECKING:
    from layerstore.driver import Capabilities, Driver


How = Literal["append", "truncate", "replace", "replace-quietly", "remake", "remake-otherwise", "delete"]
"""What another program does to an object, past the driver.

``append`` and ``truncate`` change its length in place. ``replace`` stores other bytes of the same size;
``replace-quietly`` does so and keeps all that the backend lets a program keep, or set as it was: times, metadata,
content type, the file itself. ``remake`` deletes the object and makes it anew of the same bytes,
``remake-otherwise`` of other bytes. ``delete`` leaves none."""

HOWS: tuple[How, ...] = get_args(How)

Tamper = Callable[[str, How], None]
"""Given a whole key and what to do, does it; :func:`changed` tells which bytes have to be there afterwards."""

Foreign = Callable[[str], AbstractContextManager[Collection[str]]]
"""Given a prefix, puts directly below it whatever the backend can hold that is no object, and makes the directories
for that; gives the names of it, whole, as ``scan`` tells them; and takes it away again."""

_OTHERWISE = bytes(each ^ 0xFF for each in range(256))


def changed(data: bytes, how: How) -> bytes | None:
    """Return what an object of these bytes holds when another program has been at it; None: it is gone."""
    if how == "delete":
        return None
    if how == "append":
        return data + b"appended by another program"
    if how == "truncate":
        return data[: len(data) // 2]
    if how == "remake":
        return data
    return data.translate(_OTHERWISE) or b"made otherwise"


OFFERS = frozenset({"url", "side_door", "tamper", "foreign", "missing", "restart", "cut", "fork"})
"""What a harness may offer."""


class SideDoor(Protocol):
    """A way to look at the backend without the driver under test."""

    def read(self, key: str) -> bytes | None:
        """Return the bytes of an object; None if there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key below a prefix, of objects only."""


class Harness:
    """What an author gives the suite. With a URL alone everything essential runs.

    ::

        Harness("mystore://bucket")                             # opens it anew whenever a fresh handle is asked for
        Harness(factory=lambda: MyDriver(connection))           # no URL: scenarios with a second process are skipped
        Harness("mystore://bucket", side_door=RawBucket(...))   # observations through the backend's own tools
        Harness("mystore://bucket", tamper=change_by_sdk)       # changes through them

    The backend may hold other things: every scenario has a random prefix to itself, and leaves nothing below it.
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
        restart: Callable[[], None] | None = None,
        cut: Callable[[], None] | None = None,
        fork: bool = True,
        scale: float = 1.0,
    ) -> None:
        """Open the driver by ``url``, or by ``factory``: called again, it opens the same store anew.

        ``tamper`` changes an object as another program does, ``foreign`` puts what is no object beside the objects.
        ``missing`` is the URL of a backend that there is not: an unknown bucket, a directory never made. ``restart``
        kills the backend and starts it again; ``cut`` breaks every connection to it that is open, and lets new ones be
        made. Both return when it is done. ``fork`` is false for a driver whose client does not outlive a fork of its
        process (clause T5). ``scale`` shrinks (below 1) what scenarios store and how often they repeat,
        for a backend that is slow or dear.

        Raises:
            ValueError: neither url nor factory, or a scale that is not above 0.
        """
        if (url is None) == (factory is None):
            raise ValueError("a harness takes either a url or a factory")
        if scale <= 0:
            raise ValueError(f"scale is above 0, not {scale}")
        self.url = url
        self.side_door = side_door
        self.tamper = tamper
        self.foreign = foreign
        self.missing = missing
        self.restart = restart
        self.cut = cut
        self.fork = fork and hasattr(os, "fork")
        self.scale = scale
        self._factory = factory

    def open(self) -> CheckedDriver:
        """Open a fresh handle on the store."""
        if self._factory is None:
            return self._reopen()
        driver = self._factory()
        return driver if isinstance(driver, CheckedDriver) else CheckedDriver(driver)

    def declared(self, capabilities: Capabilities) -> frozenset[str]:
        """Return the names of what driver and harness declare, as scenarios need it."""
        names = {name for name in ("nested_keys", "shared", "durable") if getattr(capabilities, name)}
        names |= {name for name in OFFERS if getattr(self, name)}
        names |= {"hypothesis"} if find_spec("hypothesis") else set()
        return frozenset(names | ({"hash_state"} if sha256.exportable() else set()))

    def _reopen(self) -> CheckedDriver:
        url, kind = self._found
        return CheckedDriver(call_driver(url.scheme, str(url), partial(kind.open, url, **url.options)), url.scheme)

    @cached_property
    def _found(self) -> tuple[StoreURL, type[Driver]]:
        """Look through what is installed for the URL's driver; once, for a suite opens a store a thousand times."""
        assert self.url is not None, "checked in the constructor"
        url = StoreURL.parse(self.url)
        open_driver(url).close()  # as every user opens it: an unknown option or contract is refused here
        return url, Registry().load(url.scheme)
