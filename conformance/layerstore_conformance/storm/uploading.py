"""One half of a user of the store: its uploads, and the bytes that they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args

from layerstore import LayerService, LayerUpload, Verify, layout
from layerstore.errors import PathNotFoundError
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.storm.plan import Plan

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore.service import UploadInfo

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

REPOSITORIES = ("storm/one", "storm/two", "storm")

COMMON = (0, 1, 700, 70_000, 300_000, 1_200_000)
"""Bytes of the layers that all workers upload again and again, so that they meet at the same blobs."""

SIZES = (1, 512, 5_000, 5_000, 66_000, 66_000, 270_000, 1_300_000)
"""Bytes of a write: on both sides of where a second thread hashes, and of what is kept in front of the driver."""

HANDLES = 2
"""Uploads that a worker has open at once."""

WHOLE = 1 << 40


class Reply(Protocol[T_co]):
    """The result of an operation."""

    @property
    def how(self) -> str:
        """``done``, ``refused``, ``interrupted``, or ``surprise``."""

    @property
    def value(self) -> T_co | None:
        """The value that it returned."""

    @property
    def done(self) -> bool:
        """Whether it returned."""


class Do(Protocol):
    """Does an operation and notes it: :meth:`layerstore_conformance.storm.worker.Worker.do`."""

    def __call__(
        self,
        what: str,
        asked: Mapping[str, object],
        act: Callable[[], T],
        told: Callable[[T], Mapping[str, object]] | None = None,
    ) -> Reply[T]:
        """Do it."""


@dataclass(slots=True, eq=False)
class Session:
    """An upload that the worker has open."""

    upload: LayerUpload
    content: bytearray
    """Its bytes."""
    moved: bool = False
    """Its data has become a blob: it can only be finished or cancelled."""
    torn: tuple[int, bytes] | None = None
    """A write that was cut off: until it is repeated, the upload's bytes are unknown."""
    doubtful: bool = False
    """An operation on it was interrupted."""


class Uploader:
    """Uploads, and knows the bytes of its uploads."""

    def __init__(self, do: Do, reopen: Callable[[], Driver], random: Random, plan: Plan) -> None:
        """Open the store."""
        self._do = do
        self._reopen = reopen
        self._random = random
        self._plan = plan
        self._sessions: list[Session] = []
        self._writes = 0
        self._label = f"w{random.getrandbits(64):x}"
        self._service = self._opened()

    def leave(self) -> None:
        """Close everything."""
        for session in list(self._sessions):
            self._close(session)
        self._sessions.clear()
        self._service.close()

    def _begin(self) -> None:
        name = self._some_repository()
        begun = self._do(
            "begin", {"name": name}, lambda: self._service.upload(name), lambda upload: {"uuid": upload.uuid}
        )
        if begun.value is None:
            return
        session = self._take(Session(begun.value, bytearray()))
        if self._random.random() < 0.4:
            number = self._random.randrange(len(COMMON))
            data = Payload(f"common-{number}", self._plan.seed).read(COMMON[number])
            if self._write_at(session, 0, data) and self._random.random() < 0.8:
                self._finish(session)

    def _resume(self) -> None:
        name = self._some_repository()
        listed = self._do("uploads", {"name": name}, lambda: list(self._service.uploads(name)), offsets_told).value
        if listed:
            self._resume_one(name, self._random.choice(listed).uuid)

    def _resume_one(self, name: str, uuid: str) -> None:
        resumed = self._do("resume", {"name": name, "uuid": uuid}, lambda: self._resumed(name, uuid), _resumed).value
        if resumed is not None and (resumed.moved or len(resumed.content) == resumed.upload.size):
            session = self._take(resumed)
            if not session.moved and self._random.random() < 0.6 and self._write(session):
                self._flush(session)

    def _resumed(self, name: str, uuid: str) -> Session:
        upload = self._service.resume(name, uuid)
        try:
            content = self._service.driver.get(layout.UploadKeys(name, uuid).data, WHOLE)
        except PathNotFoundError:
            return Session(upload, bytearray(), moved=upload.size > 0)
        return Session(upload, bytearray(content))

    def _take(self, session: Session) -> Session:
        # Drop an older handle on the same upload: this worker has fenced it, and no other.
        self._sessions = [each for each in self._sessions if each.upload.uuid != session.upload.uuid]
        self._sessions.append(session)
        if len(self._sessions) > HANDLES:
            self._close(self._sessions[0])
        return session

    def _write(self, session: Session) -> bool:
        size = self._random.randint(1, self._random.choice(SIZES))
        self._writes += 1
        back = self._random.random() < 0.15
        offset = self._random.randint(0, len(session.content)) if back else len(session.content)
        return self._write_at(session, offset, Payload(f"{self._label}-{self._writes}", self._plan.seed).read(size))

    def _write_at(self, session: Session, offset: int, data: bytes) -> bool:
        def act() -> None:
            session.upload.seek(offset)
            session.upload.write(data)

        asked = {"uuid": session.upload.uuid, "offset": offset, "size": len(data)}
        written = self._do("write", asked, act)
        if written.done:
            session.content[offset : offset + len(data)] = data
            session.torn = None
        else:
            session.torn = (offset, data)
            self._failed(session, written)
        return written.done

    def _flush(self, session: Session) -> None:
        self._failed(session, self._do("flush", _publishing(session), session.upload.flush))

    def _close(self, session: Session) -> None:
        if session.torn is not None:
            self._drop(session)
            return
        closed = self._do("close", _publishing(session), session.upload.close)
        self._failed(session, closed)
        if closed.done:
            self._let_go(session)

    def _finish(self, session: Session) -> None:
        wanted = self._wanted(session)
        if wanted is None:
            self._cancel(session)
            return
        asked = {"name": session.upload.name, "digest": wanted, **_publishing(session)}
        finished = self._do(
            "finish again" if session.moved else "finish", asked, lambda: session.upload.finish(wanted).close()
        )
        self._failed(session, finished)
        if finished.done:
            self._let_go(session)

    def _wanted(self, session: Session) -> str | None:
        """Return the digest to finish with, and put it on the board: another worker may need it."""
        path = self._plan.board / session.upload.uuid
        if session.moved:
            told = path.read_text().split() if path.exists() else []
            return self._random.choice(told) if told else None
        wanted = digest(bytes(session.content))
        with path.open("a") as board:
            board.write(f"{wanted}\n")
        return wanted

    def _cancel(self, session: Session) -> None:
        cancelled = self._do("cancel", {"uuid": session.upload.uuid}, session.upload.cancel)
        self._failed(session, cancelled)
        if cancelled.done:
            self._let_go(session)

    def _drop(self, session: Session) -> None:
        self._do("drop", {"uuid": session.upload.uuid}, lambda: None)
        self._let_go(session)

    def _settle(self, session: Session) -> None:
        """Go on after an interrupt as programs do: repeat, cancel or resume."""
        session.doubtful = False
        name, uuid = session.upload.name, session.upload.uuid
        choice = self._random.random()
        if choice < 0.5 and session.torn is not None:
            self._write_at(session, *session.torn)
        elif choice < 0.5:
            self._random.choice((self._flush, self._finish))(session)
        elif choice < 0.75:
            self._cancel(session)
        else:
            self._let_go(session)
            self._resume_one(name, uuid)

    def _failed(self, session: Session, reply: Reply[Any]) -> None:
        if reply.how == "interrupted":
            session.doubtful = True
        elif not reply.done:
            self._let_go(session)

    def _let_go(self, session: Session) -> None:
        if session in self._sessions:
            self._sessions.remove(session)

    def _opened(self) -> LayerService:
        return LayerService(self._reopen(), verify=self._random.choice(get_args(Verify)))

    def _some_repository(self) -> str:
        return self._random.choices(REPOSITORIES, (4, 1, 1))[0]


def _publishing(session: Session) -> dict[str, object]:
    """Return the fields of an operation after which others may see the upload."""
    asked: dict[str, object] = {"uuid": session.upload.uuid}
    if not session.moved:
        asked |= {"size": len(session.content), "content": digest(bytes(session.content))}
    return asked


def offsets_told(listed: list[UploadInfo]) -> dict[str, object]:
    """Return the offsets of a listing's uploads."""
    return {"offsets": {info.uuid: info.offset for info in listed}}


def _resumed(session: Session) -> dict[str, object]:
    told: dict[str, object] = {"offset": session.upload.size}
    if not session.moved and len(session.content) == session.upload.size:
        told["content"] = digest(bytes(session.content))
    return told
