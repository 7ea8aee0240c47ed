"""Finding out, on a name of no importance, whether a service keeps to the conditions that fencing stands on.

Some services take a condition, ignore it and answer that all is well: then two writers would replace each other's work
without an error. Others know none. Neither is of use.
"""

from __future__ import annotations

from contextlib import suppress

from layerstore.errors import DriverError, FencedError, UnsupportedOperationError
from layerstore.objectstore.head import nonce
from layerstore.objectstore.service import ABSENT, Service


def check_conditions(service: Service, prefix: str) -> None:
    """Store, replace and delete an object below ``prefix``, as conditions allow and forbid.

    Raises:
        UnsupportedOperationError: the service does what a condition forbids, or refuses what one allows.
    """
    name = f"{prefix}{nonce()}"
    try:
        first = _put(service, name, b"first", ABSENT)
        if _is_done(service, name, b"again", ABSENT):
            _refuse(name, "stores an object although If-None-Match forbids it")
        second = _put(service, name, b"second", first)
        if _is_done(service, name, b"third", first):
            _refuse(name, "replaces an object although If-Match forbids it")
        with suppress(FencedError):
            service.delete(name, first)
        if not _is_done(service, name, b"last", second):
            _refuse(name, "deletes an object although If-Match forbids it")
    finally:
        with suppress(DriverError):
            service.delete(name)


def _put(service: Service, name: str, data: bytes, etag: str) -> str:
    try:
        return service.put(name, data, {}, etag)
    except FencedError:
        got = service.get(name, 0, len(data))
        with_answer = got.stream.read(len(data))
        got.stream.close()
        if with_answer != data:  # else only the answer to the first attempt was lost
            _refuse(name, "refuses what a condition allows")
        return got.etag


def _is_done(service: Service, name: str, data: bytes, etag: str) -> bool:
    try:
        service.put(name, data, {}, etag)
    except FencedError:
        return False
    return True


def _refuse(name: str, detail: str) -> None:
    raise UnsupportedOperationError(name, f"the service {detail}: a store in it could lose what was written")
