"""The objects of one store by their keys: where they lie, what lies there, and the change of a head."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

from layerstore.errors import BackendUnavailableError, DriverError, FencedError, PathNotFoundError
from layerstore.objectstore.head import (
    FIRST_LINE,
    ID,
    RESERVED,
    Found,
    Head,
    found,
    made,
    place,
    stored_size,
    with_pieces,
)
from layerstore.objectstore.probe import check_conditions
from layerstore.objectstore.service import Got, Listed, Part, Service

P = ParamSpec("P")
T = TypeVar("T")

PRIVATE: Final = ".layerstore"
"""The segment below which the pieces of an object lie: beside its key, or if that is too long, at the top.

Not below the key: some services make a folder of every name that has others below it, and then no object in its place.
"""

BODY: Final = 64 << 10
"""Bytes of the first request for a head with its pieces: three thousand of them."""

BREAKS: Final = 5
"""How often in a row a connection may break."""

ATTEMPTS: Final = 100
"""How often an operation starts again because others came in between. Each time one of them has succeeded."""

FAR: Final = f"{PRIVATE}/.far/"
"""Where pieces lie of keys that are too long; no key has a segment that begins with a dot."""


class Store:
    """The objects below a prefix. Threads may share it."""

    def __init__(self, service: Service, prefix: str) -> None:
        """Put ``prefix``, empty or with a slash at its end, before every key."""
        self.service = service
        self.prefix = prefix
        self._checked = False

    def name(self, key: str) -> str:
        """Return the name of an object."""
        return self.prefix + key

    def piece(self, key: str, piece: str) -> str:
        """Return the name of a piece."""
        return f"{self.prefix}{self.place(key)}{piece}"

    def place(self, key: str) -> str:
        """Return the prefix of an object's pieces, as if it were one of keys."""
        folder, _, last = key.rpartition("/")
        near = f"{folder}{'/' if folder else ''}{PRIVATE}/{last}/"
        if len(self.prefix) + len(near) + ID <= self.service.limits.name_bytes:
            return near
        return f"{FAR}{hashlib.sha256(key.encode()).hexdigest()[:32]}/"

    def has_far_place(self, key: str) -> bool:
        """Return whether an object's pieces do not lie beside it."""
        return self.place(key).startswith(FAR)

    def call(self, key: str, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call of the service; its errors name the key."""
        try:
            return act(*args, **kwargs)
        except DriverError as error:
            raise type(error)(key, error.detail) from error

    def writable(self, key: str) -> None:
        """Find out, once, whether the service keeps to conditions: nothing is safe in one that does not.

        Raises:
            UnsupportedOperationError: it does not.
        """
        if not self._checked:
            self.call(key, check_conditions, self.service, f"{self.prefix}{PRIVATE}/.probe/")
            self._checked = True

    def look(self, key: str) -> Found | None:
        """Return what lies under a key; None if nothing does. The pieces are left out."""
        return self._look(key, FIRST_LINE)

    def look_whole(self, key: str, most: int = BODY) -> Found | None:
        """Return what lies under a key, with its pieces; of a plain object the first bytes, ``most`` at most."""
        for _ in range(ATTEMPTS):
            state = self._look(key, most)
            if state is None or state.head is None:
                return state
            with suppress(FencedError, PathNotFoundError):
                rest = self.read(key, self.name(key), len(state.begin), state.stored, state.etag)
                whole = with_pieces(state, state.begin + rest)
                if whole is None:
                    raise BackendUnavailableError(key, "another program has changed the list of its pieces")
                return whole
        raise BackendUnavailableError(key, f"changed {ATTEMPTS} times while it was looked at")

    def _look(self, key: str, most: int) -> Found | None:
        try:
            got, begin = self._fetch(key, self.name(key), 0, most)
        except PathNotFoundError:
            return None
        return found(got, begin)

    def _fetch(self, key: str, name: str, start: int, stop: int, etag: str | None = None) -> tuple[Got, bytes]:
        """Read a short range, or what there is of it; again, if the connection breaks."""
        left = BREAKS
        while True:
            got = self.call(key, self.service.get, name, start, stop, etag)
            try:
                return got, drained(got, stop - start, key)
            except BackendUnavailableError:
                if not left:
                    raise
            left -= 1

    def read(self, key: str, name: str, start: int, stop: int, etag: str | None = None) -> bytes:
        """Read a range of a stored object whole.

        Raises:
            FencedError, PathNotFoundError: it has another ETag, or is gone.
        """
        parts = []
        while start < stop:
            parts.append(self._fetch(key, name, start, stop, etag)[1])
            if not parts[-1]:
                raise BackendUnavailableError(key, f"ends at byte {start} of {stop}")
            start += len(parts[-1])
        return b"".join(parts)

    def swap(self, key: str, head: Head, etag: str) -> str:
        """Put a head in place of what has this ETag, and return its ETag.

        A service that answers late is asked again, and may then meet our own head and refuse it. A service that is busy
        with another change of the object may refuse although nothing has changed: then it is asked again here.

        Raises:
            FencedError: something else lies there.
        """
        return self._swap(key, *head.dump(), etag, lambda now: now.head is not None and now.head.nonce == head.nonce)

    def end(self, key: str, data: bytes, mark: str, etag: str) -> None:
        """Put a plain object in place of the head that has this ETag, as :meth:`swap` puts a head.

        Raises:
            FencedError: something else lies there.
        """
        self._swap(key, data, dict(made(mark)), etag, lambda now: now.mark == mark)

    def _swap(
        self, key: str, body: bytes, metadata: dict[str, str], etag: str, is_ours: Callable[[Found], bool]
    ) -> str:
        for _ in range(ATTEMPTS):
            try:
                return self.call(key, self.service.put, self.name(key), body, metadata, etag)
            except FencedError:
                now = self.look(key)
                if now is not None and is_ours(now):
                    return now.etag
                if (now.etag if now else "") != etag:
                    raise
        raise BackendUnavailableError(
            key, f"refused {ATTEMPTS} times, although nobody has changed it: busy, or a folder"
        )

    def put(self, key: str, data: bytes, mark: str | None = None) -> None:
        """Store an object under its key as it is, over any other."""
        self.call(key, self.service.put, self.name(key), data, made(mark))

    def parts(self, key: str, head: Head) -> list[Part]:
        """Return the parts that an object is made of; pieces that follow each other in one stored object are one."""
        runs: list[tuple[str, int, int]] = []
        for number, piece in enumerate(head.pieces):
            stored, start = place(piece)
            stop = start + head.length(number)
            if runs and (runs[-1][0], runs[-1][2]) == (stored, start):
                start = runs.pop()[1]
            runs.append((stored, start, stop))
        return [
            Part(self.piece(key, stored), start, stop, whole=(start, stop) == (0, stored_size(stored)))
            for stored, start, stop in runs
        ]

    def parts_of(self, key: str, state: Found) -> Iterable[Part]:
        """Return the parts that an object is made of, whatever lies under its key."""
        return self.parts(key, state.head) if state.head else [plain(self.name(key), state)]

    def compose(self, key: str, parts: Iterable[Part], name: str, mark: str | None = None) -> None:
        """Have the service make an object of parts; of none, one of no bytes."""
        whole = list(self._cut(parts))
        if whole:
            self.call(key, self.service.compose, name, whole, made(mark))
        else:
            self.call(key, self.service.put, name, b"", made(mark))

    def _cut(self, parts: Iterable[Part]) -> Iterator[Part]:
        """Cut parts that are too large to be copied at once, evenly: none may be too small either."""
        for part in parts:
            count = -(-(part.stop - part.start) // self.service.limits.most_copied)
            if count == 1:
                yield part
                continue
            size = -(-(part.stop - part.start) // count)
            for start in range(part.start, part.stop, size):
                yield Part(part.name, start, min(start + size, part.stop), part.etag)

    def delete_names(self, key: str, names: Iterable[str]) -> None:
        """Delete any number of stored objects, in as few requests as can be."""
        left = list(names)
        while left:
            batch, left = left[: self.service.limits.page], left[self.service.limits.page :]
            if len(batch) == 1:
                self.call(key, self.service.delete, batch[0])
            else:
                self.call(key, self.service.delete_many, batch)

    def pages(self, prefix: str, most: int = 0, *, deep: bool = True) -> Iterator[tuple[list[Listed], list[str], bool]]:
        """Yield pages of what lies below a prefix of keys: objects, prefixes, and whether more follows.

        All names are without the store's prefix.
        """
        after, more = "", True
        while more:
            arguments = (self.prefix + prefix, after, most or self.service.limits.page)
            page = self.call(prefix, self.service.list, *arguments, deep=deep)
            after, more = page.after, bool(page.after)
            objects = [Listed(each.name.removeprefix(self.prefix), each.size, each.modified) for each in page.objects]
            yield objects, [each.removeprefix(self.prefix) for each in page.prefixes], more

    def is_reserved(self, listed: Listed) -> bool:
        """Return whether a listed object is the head of a key that a writer has reserved."""
        if listed.size != RESERVED:
            return False
        state = self.look(listed.name)
        return state is None or state.size is None


def plain(name: str, state: Found) -> Part:
    """Return the one part that an object is made of which lies under its name as it is."""
    return Part(name, 0, state.stored, state.etag, whole=True)


def drained(got: Got, most: int, key: str) -> bytes:
    """Read a short range to its end, and give the connection back."""
    data = bytearray()
    stop = min(most, got.size)
    try:
        while len(data) < stop and (part := got.stream.read(stop - len(data))):
            data += part
    except DriverError as error:
        raise BackendUnavailableError(key, error.detail) from error
    finally:
        got.stream.close()
    return bytes(data)
