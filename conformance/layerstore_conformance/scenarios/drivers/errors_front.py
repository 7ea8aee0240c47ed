"""Errors of the front: what it refuses by itself has key and driver, and what a network tells is no error of a disk."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from layerstore import (
    CONTRACT_VERSION,
    AccessDeniedError,
    BackendUnavailableError,
    Driver,
    DriverError,
    InvalidOffsetError,
    InvalidPathError,
    LayerService,
    NoSpaceError,
    StoreURL,
    hookimpl,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore.registry import GROUP as ENTRY_POINTS
from layerstore.registry import Registry
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.failing import FailingDriver, FailingHandles
from layerstore_conformance.kit.layers import blob, store
from layerstore_conformance.kit.passing import PassingDriver, PassingReader
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore import Layer, LayerUpload
    from layerstore.driver import Reader, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

SIZE: Final = 600
"""Bytes."""

LARGEST: Final = 2**63 - 1
"""Bytes of the largest object (W2)."""

Ask = tuple[str, str, type[DriverError], Callable[[], object]]
"""What it is, the key of the error, its kind, and what raises it."""


def _of_driver(driver: CheckedDriver) -> Iterator[Ask]:
    """Yield what the front refuses before it calls the driver."""
    yield "move", "d/key", InvalidPathError, lambda: driver.move("d/key", "d/key")
    yield "move at a version", "d/key", InvalidPathError, lambda: driver.move("d/key", "d/key", version="1")
    for offset in (-1, -SIZE, -(2**70)):
        yield f"open_reader at {offset}", "d/key", InvalidOffsetError, partial(driver.open_reader, "d/key", offset)
    for key in ("d/../key", "/d", "d/key/", "d//key", "\u00e4"):
        calls: dict[str, Callable[[], object]] = {
            "stat": partial(driver.stat, key),
            "find": partial(driver.find, key),
            "get": partial(driver.get, key, 1),
            "open_reader": partial(driver.open_reader, key),
            "open_writer": partial(driver.open_writer, key),
            "put": partial(driver.put, key, b""),
            "list": partial(driver.list, key),
            "scan": partial(driver.scan, key),
            "move": partial(driver.move, key, "target"),
            "move to it": partial(driver.move, "d/key", key),
            "delete": partial(driver.delete, key),
            "settle": partial(driver.settle, key),
            "drop_cache": partial(driver.drop_cache, key),
            "redirect_url": partial(driver.redirect_url, key, timedelta(seconds=1)),
        }
        for name, call in calls.items():
            yield f"{name} of what is no key", key, InvalidPathError, call


def _seeks(handle: Reader | Writer | Layer | LayerUpload, key: str) -> Iterator[Ask]:
    """Yield seeks to before the start."""
    for offset, whence in ((-1, os.SEEK_SET), (-SIZE - 1, os.SEEK_END), (-(2**70), os.SEEK_CUR)):
        name = f"seek of {type(handle).__name__} to {offset} from {whence}"
        yield name, key, InvalidOffsetError, partial(handle.seek, offset, whence)


def _write_beyond(handle: Writer | LayerUpload) -> None:
    handle.seek(LARGEST)
    handle.write(bytes(2 << 20))  # more than is gathered


class _Ending(PassingReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        return super().read_at(offset, buffer[: SIZE // 2 - offset]) if offset < SIZE // 2 else 0


class EndingEarly(PassingDriver):
    """Opens readers that end in the middle, as if the object had been cut short."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open such a reader."""
        return _Ending(self.inner.open_reader(key, offset))


def _reads(handle: Reader | Layer, key: str) -> Iterator[Ask]:
    """Yield reads that meet the early end."""
    kind = type(handle).__name__
    handle.seek(SIZE // 2)
    yield f"read of {kind}", key, BackendUnavailableError, partial(handle.read, 1)
    yield f"readall of {kind}", key, BackendUnavailableError, handle.readall
    yield f"readinto of {kind}", key, BackendUnavailableError, partial(handle.readinto, bytearray(9))


def _asks(ctx: Context) -> Iterator[Ask]:
    data = ctx.payload("front").read(SIZE)
    driver = CheckedDriver(PassingDriver(ctx.driver), "front")
    driver.put("d/key", data)
    yield from _of_driver(driver)
    yield from _seeks(driver.open_reader("d/key"), "d/key")
    writer = driver.open_writer("d/key")
    yield from _seeks(writer, "d/key")
    yield "write beyond 2^63 - 1", "d/key", NoSpaceError, partial(_write_beyond, writer)
    ending = CheckedDriver(EndingEarly(ctx.driver), "front")
    yield from _reads(ending.open_reader("d/key"), "d/key")
    yield "get of what ends early", "d/key", BackendUnavailableError, partial(ending.get, "d/key", SIZE)
    store(LayerService(driver), "a", data)
    yield from _seeks(LayerService(driver).fetch("a", digest(data)), blob(data))
    yield from _reads(LayerService(ending).fetch("a", digest(data)), blob(data))
    upload = LayerService(driver).upload("a")
    yield from _seeks(upload, layout.UploadKeys("a", upload.uuid).data)
    key = layout.UploadKeys("a", upload.uuid).data
    yield "upload beyond 2^63 - 1", key, NoSpaceError, partial(_write_beyond, upload)
    writer.discard()
    upload.cancel()


@scenario(
    *("E1", "R2", "R6", "W2", "M6"),
    kills=(
        *("seeks-name-no-driver", "negative-offsets-name-no-driver", "largest-objects-name-no-driver"),
        *("early-ends-name-no-driver", "moves-onto-themselves-name-no-driver", "layers-seeks-name-no-driver"),
        *("uploads-seeks-name-no-driver", "refused-keys-name-no-driver"),
    ),
    rows=(10, 11),
)
def an_error_of_the_front_names_key_and_driver(ctx: Context) -> None:
    """What is refused before the driver is asked, or found out behind it, has the key and the driver, as other errors.

    A service with two stores logs it, and somebody has to find out which store it is about.
    """
    for name, key, kind, ask in _asks(ctx):
        ctx.step(name)
        with refused(kind) as refusal:
            ask()
        error = refusal.error
        assert type(error) is kind, f"{name} raised {type(error).__name__}, not {kind.__name__}"
        assert error.key.endswith(key), f"{name} raised an error of key {error.key!r}, not of {key!r}"
        assert error.driver == "front", f"{name} raised an error of driver {error.driver!r}, not of 'front'"
        assert str(error).startswith("front driver: "), f"{name} does not say which driver: {error}"


NUMBERED: Final[dict[str, type[OSError]]] = {
    "TLS": ssl.SSLError,
    "a certificate": ssl.SSLCertVerificationError,
    "a closed TLS session": ssl.SSLZeroReturnError,
    "a broken TLS session": ssl.SSLEOFError,
    "a system call of TLS": ssl.SSLSyscallError,
    "the lookup of a name": socket.gaierror,
    "the lookup of a host": socket.herror,
}
"""Errors of a network, whose numbers are none of the system's."""

NUMBERS: Final = (
    *(-11, -8, -5, -3, -2, 0, 1, 2, 3, 4, 5, 6, 8),
    *(errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOENT, errno.EIO),
)
"""What those errors have as their numbers, and the system's numbers that mean something else."""

CALLS: Final[dict[str, Callable[[CheckedDriver], object]]] = {
    "stat": lambda driver: driver.stat("key"),
    "open_reader": lambda driver: driver.open_reader("key"),
    "open_writer": lambda driver: driver.open_writer("key"),
    "put": lambda driver: driver.put("key", b""),
    "list": lambda driver: list(driver.list("key")),
    "scan": lambda driver: list(driver.scan("key")),
    "move": lambda driver: driver.move("key", "target"),
    "delete": lambda driver: driver.delete("key"),
}


@scenario("E1", kills=("numbers-of-tls-are-the-systems", "numbers-of-lookups-are-the-systems"), rows=(2, 181))
def an_error_of_the_network_is_an_outage(ctx: Context) -> None:
    """An error of TLS or of a name's lookup is BackendUnavailableError, whatever number it has.

    Their numbers are not the system's: the 1 of a failed handshake is no EPERM, for which nobody has to wait.
    """
    ctx.driver.put("key", b"there")
    for what, kind in NUMBERED.items():
        for number in NUMBERS:
            failing = CheckedDriver(FailingDriver(ctx.driver, number, kind), "failing")
            for name, call in CALLS.items():
                _expect_outage(partial(call, failing), f"{name}, with {what}, {number}")
        driver = CheckedDriver(FailingHandles(ctx.driver, 1, kind), "failing")
        reader, writer = driver.open_reader("key"), driver.open_writer("key")
        of_handles: dict[str, Callable[[], object]] = {
            "read": reader.read,
            "write": partial(writer.write, b"+"),
            "flush": writer.flush,
            "close": reader.close,
        }
        for name, act in of_handles.items():
            _expect_outage(act, f"{name}, with {what}")
        writer.discard()


def _expect_outage(act: Callable[[], object], what: str) -> None:
    with refused(DriverError) as refusal:
        act()
    kind = type(refusal.error)
    assert kind is BackendUnavailableError, f"{what} raised {kind.__name__}, not BackendUnavailableError"
    assert refusal.error.key.endswith("key"), f"{what} raised an error of key {refusal.error.key!r}"
    assert refusal.error.driver == "failing", f"{what} raised an error of driver {refusal.error.driver!r}"


class Unopened(PassingDriver):
    """A driver whose opening fails."""

    contract_version = CONTRACT_VERSION
    options = MappingProxyType({"secret": "a credential"})
    failure: ClassVar[Exception]

    @classmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Fail."""
        raise cls.failure


class UnopenedPlugin:
    """The plugin of that driver."""

    @staticmethod
    @hookimpl
    def layerstore_driver() -> type[Driver]:
        """Return the driver."""
        return Unopened


OPENINGS: Final[tuple[tuple[Exception, type[DriverError]], ...]] = (
    (OSError(errno.EACCES, "made to fail"), AccessDeniedError),
    (OSError(errno.EROFS, "made to fail"), AccessDeniedError),
    (OSError(errno.ENOSPC, "made to fail"), NoSpaceError),
    (OSError(errno.ECONNREFUSED, "made to fail"), BackendUnavailableError),
    (OSError(errno.ENOENT, "made to fail"), BackendUnavailableError),
    (ssl.SSLError(1, "made to fail"), BackendUnavailableError),
    (socket.gaierror(-2, "made to fail"), BackendUnavailableError),
    (TimeoutError("made to fail"), BackendUnavailableError),
    (AccessDeniedError("the bucket", "made to fail"), AccessDeniedError),
)
"""What the opening of a driver raises, and what that is told as."""


@scenario("E1", "E3", kills=("openings-are-not-translated", "openings-name-no-driver"), rows=(2, 12))
def an_error_of_opening_is_told_by_its_kind(ctx: Context) -> None:
    """What the opening of a store fails for is told as in every other call, with the driver, and without any option."""
    del ctx
    claim = EntryPoint("unopened", f"{__name__}:{UnopenedPlugin.__name__}", ENTRY_POINTS)
    for failure, kind in OPENINGS:
        Unopened.failure = failure
        with refused(DriverError) as refusal:
            Registry(lambda: [claim]).open("unopened:store?secret=s3cr3t").close()
        error = refusal.error
        assert type(error) is kind, f"{failure!r} is {type(error).__name__}, not {kind.__name__}"
        assert error.driver == "unopened", f"{failure!r} is told of driver {error.driver!r}, not of 'unopened'"
        assert error.key, f"{failure!r} does not say of which store it is"
        assert "s3cr3t" not in f"{error} {error!r}", f"the secret is in {error!r}"
