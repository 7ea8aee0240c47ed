"""The promise of a store about an upload, and so the states that are allowed if its process dies now."""

from __future__ import annotations

from typing import NamedTuple

from layerstore_conformance.kit.payloads import digest


class Kept(NamedTuple):
    """A layer whose finish has returned. It must be there from then on."""

    name: str
    content: bytes


class Promise:
    """The promise of the store about one upload, kept up to date by :meth:`take`, before each step and after it.

    The steps, in pairs: ``beginning`` and ``begun``, ``writing`` and ``accepted``, ``flushing`` and ``flushed`` (of a
    close, too), ``resuming`` and ``resumed``, ``finishing`` and ``finished`` (or ``refused``), ``cancelling`` and
    ``cancelled``, ``purging`` and ``purged``. If the process dies in between, only the first of a pair was taken.
    """

    def __init__(self, name: str) -> None:
        """Promise nothing of an upload in this repository, not begun yet."""
        self.name = name
        self.steps: list[str] = []
        """The steps taken, in words."""
        self.kept: list[Kept] = []
        """The layers of earlier uploads."""
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.uuid: str | None = None
        self.content = bytearray()
        """The bytes that were accepted."""
        self.promised: bytes = b""
        """The bytes that the last flush or close has promised to keep."""
        self.possible: set[bytes] = {b""}
        """The bytes that may be stored: the promised ones, and during a flush those that it is about to promise."""
        self.known = False
        """A flush or close has returned, so that others know of the upload."""
        self.finishing = False
        """A finish that ought to succeed has begun: the upload may be gone, and then the layer is there."""
        self.finished = False
        self.cancelling = False
        """A cancel has begun: the upload may be gone."""
        self.cancelled = False
        self.purging = False
        """A purge of it has begun: it may be gone, or there in part, and then it cannot be resumed."""
        self.purged = False

    @property
    def ended(self) -> bool:
        """Whether the upload was finished, cancelled or purged."""
        return self.finished or self.cancelled or self.purged

    @property
    def wanted(self) -> str:
        """The digest of the accepted bytes."""
        return digest(bytes(self.content))

    def take(self, step: str, *details: object) -> None:
        """Take a step into account.

        Raises:
            ValueError: there is no such step.
        """
        match (step, *details):
            case ("beginning",):
                self._keep()
            case ("begun", str(uuid)):
                self.uuid = uuid
            case ("accepted", int(offset), bytes(data)):
                self._accept(offset, data)
            case ("flushing",):
                self.possible.add(bytes(self.content))
            case ("flushed",):
                self.known = True
                self.promised = bytes(self.content)
                self.possible = {self.promised}
            case ("finishing", str(wanted)):
                self.finishing = wanted == self.wanted
                self.possible.add(bytes(self.content))
            case ("finished",) | ("cancelling",) | ("cancelled",) | ("purging",) | ("purged",):
                setattr(self, step, True)
            case ("writing", int(_), int(_)) | ("resuming",) | ("resumed",) | ("refused",):
                pass
            case _:
                raise ValueError(f"no step: {step} {details}")
        self.steps.append(" ".join([step, *(_short(detail) for detail in details)]))

    def __str__(self) -> str:
        """Return the last step, and how much was promised and accepted."""
        last = self.steps[-1] if self.steps else "nothing done"
        return f"{last}; {len(self.promised)} bytes promised, {len(self.content)} accepted"

    def _keep(self) -> None:
        if self.finished:
            self.kept.append(Kept(self.name, bytes(self.content)))
        self._begin_anew()

    def _accept(self, offset: int, data: bytes) -> None:
        self.content.extend(bytes(max(0, offset - len(self.content))))
        self.content[offset : offset + len(data)] = data


def _short(detail: object) -> str:
    return f"{len(detail)} bytes" if isinstance(detail, bytes) else str(detail)
