"""Every call of a handle that must not work: with arguments that would do something, and with some that would not."""

from __future__ import annotations

import array
import io
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from layerstore import Layer, LayerClosedError, LayerUpload
from layerstore.driver import Reader, Writer
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from typing_extensions import Buffer

HandleT = TypeVar("HandleT")
Calls = Mapping[str, Callable[[HandleT], object]]

DATA: Final[dict[str, Buffer]] = {
    "bytes": b"late",
    "an array": array.array("I", [1, 2]),
    "no bytes": b"",
    "an empty bytearray": bytearray(),
    "an empty array": array.array("Q"),
}

_Seekable = Reader | Writer | Layer | LayerUpload


def _write(data: Buffer) -> Callable[[_Seekable], object]:
    return lambda handle: handle.write(data)


def _read_from(data: bytes) -> Callable[[LayerUpload], object]:
    return lambda upload: upload.read_from(io.BytesIO(data))


WRITES: Final = {f"write of {what}": _write(data) for what, data in DATA.items()}

SEEKS: Final[Calls[_Seekable]] = {
    "seek": lambda handle: handle.seek(0),
    "seek from here": lambda handle: handle.seek(0, os.SEEK_CUR),
    "seek from the end": lambda handle: handle.seek(0, os.SEEK_END),
    "tell": lambda handle: handle.tell(),
}

READS: Final[Calls[Reader | Layer | LayerUpload]] = {
    "read": lambda handle: handle.read(),
    "read of a byte": lambda handle: handle.read(1),
    "read of nothing": lambda handle: handle.read(0),
    "readall": lambda handle: handle.readall(),
    "readinto": lambda handle: handle.readinto(bytearray(1)),
    "readinto nothing": lambda handle: handle.readinto(bytearray()),
    "readinto an empty array": lambda handle: handle.readinto(array.array("Q")),
}

OF_READER: Final[Calls[Reader]] = {**READS, **SEEKS, **WRITES}

OF_WRITER: Final[Calls[Writer]] = {
    **WRITES,
    **SEEKS,
    "flush": lambda writer: writer.flush(),
    "end": lambda writer: writer.end(),
}

OF_LAYER: Final[Calls[Layer]] = {**READS, **SEEKS, **WRITES, "fileno": lambda layer: layer.fileno()}

TAKES: Final[Calls[LayerUpload]] = {
    **WRITES,
    "read_from": _read_from(b"late"),
    "read_from nothing": _read_from(b""),
}
"""The calls that give bytes to an upload."""

OF_UPLOAD: Final[Calls[LayerUpload]] = {
    **TAKES,
    **READS,
    **SEEKS,
    "flush": lambda upload: upload.flush(),
    "digest": lambda upload: upload.digest(),
    "finish": lambda upload: upload.finish(digest(b"of another layer")),
    "finish by a size": lambda upload: upload.finish(digest(b""), 0),
}


def expect_refusals(handle: HandleT, calls: Calls[HandleT], what: str) -> None:
    """Check that each call raises LayerClosedError, that it says of what, and that the handle can be printed."""
    for name, call in calls.items():
        try:
            with refused(LayerClosedError) as refusal:
                call(handle)
        except Exception as error:
            raise AssertionError(f"{name} of {what} raised {type(error).__name__}: {error}") from error
        assert str(refusal.error), f"{name} of {what} says nothing"
    assert repr(handle).startswith(f"<{type(handle).__name__} "), f"{what} is printed as {handle!r}"
