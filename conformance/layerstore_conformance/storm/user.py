"""A user of the store, which does random operations."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore_conformance.kit.payloads import Payload
from layerstore_conformance.storm.uploading import COMMON, REPOSITORIES, Uploader, offsets_told

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from layerstore.driver import Driver
    from layerstore.service import LayerInfo
    from layerstore.upkeep.collect import CollectReport
    from layerstore.upkeep.purge import PurgeReport
    from layerstore_conformance.storm.plan import Plan
    from layerstore_conformance.storm.uploading import Do


class User(Uploader):
    """Does one operation after the other."""

    def __init__(self, do: Do, reopen: Callable[[], Driver], random: Random, plan: Plan) -> None:
        """Open the store."""
        super().__init__(do, reopen, random, plan)
        self._layers: list[tuple[str, str]] = []
        self._others: dict[Callable[[], None], int] = {
            self._begin: 30,
            self._resume: 30,
            self._look: 6,
            self._fetch: 8,
            self._mount: 10,
            self._unlink: 12,
            self._cancel_other: 3,
            self._scrub: 2,
            self._collect: 6,
            self._purge: 2,
            self._open_anew: 1,
        }

    def step(self) -> None:
        """Do one operation."""
        if self._random.random() < 1 / (1 + 2 * len(self._sessions)):
            self._random.choices(list(self._others), list(self._others.values()))[0]()
            return
        session = self._random.choice(self._sessions)
        if session.torn is not None or session.doubtful:
            self._settle(session)
        else:
            acts = (self._write, self._flush, self._finish, self._close, self._cancel, self._drop)
            self._random.choices(acts, (8, 3, 5, 2, 1, 1))[0](session)

    def _look(self) -> None:
        name = self._random.choice((*REPOSITORIES, None))
        listed = self._do("layers", {"name": name}, lambda: list(self._service.layers(name))).value
        self._layers = self._layers if listed is None else [_pair(info) for info in listed]

    def _fetch(self) -> None:
        name, wanted = self._some_layer()
        self._do("fetch", {"name": name, "digest": wanted}, lambda: self._fetched(name, wanted))

    def _fetched(self, name: str, wanted: str) -> None:
        hasher = hashlib.sha256()
        with self._service.fetch(name, wanted) as layer:
            while data := layer.read(1 << 20):
                hasher.update(data)
        assert wanted == f"sha256:{hasher.hexdigest()}", f"{wanted} holds the bytes of {hasher.hexdigest()}"

    def _mount(self) -> None:
        source, wanted = self._some_layer()
        name = self._some_repository()
        asked = {"name": name, "digest": wanted, "source": source}
        self._do("mount", asked, lambda: self._service.mount(name, wanted, source=source).close())

    def _unlink(self) -> None:
        name, wanted = self._some_layer()
        self._do("unlink", {"name": name, "digest": wanted}, lambda: self._service.unlink(name, wanted))

    def _cancel_other(self) -> None:
        name = self._some_repository()
        listed = self._do("uploads", {"name": name}, lambda: list(self._service.uploads(name)), offsets_told).value
        if listed:
            uuid = self._random.choice(listed).uuid
            self._do("cancel", {"name": name, "uuid": uuid}, lambda: self._service.cancel(name, uuid))

    def _scrub(self) -> None:
        jobs = self._random.choice((1, 2))
        self._do("scrub", {"jobs": jobs}, lambda: self._scrubbed(jobs), lambda found: {"found": found})

    def _scrubbed(self, jobs: int) -> list[str]:
        found = [finding for finding in self._service.scrub(jobs=jobs) if finding.kind != "ok"]
        damaged = [finding for finding in found if finding.kind in ("damaged", "damaged-link")]
        assert not damaged, f"a scrub found {damaged}"
        return sorted({finding.kind for finding in found})

    def _collect(self) -> None:
        grace = timedelta(seconds=self._plan.grace)
        self._do("gc", {"grace": self._plan.grace}, lambda: self._service.collect(grace=grace), _collected)

    def _purge(self) -> None:
        name = self._random.choice((*REPOSITORIES, None))
        age = self._random.choice((0.0, 0.3, 1.0, 3.0))
        asked = {"name": name, "older_than": age}
        self._do("purge", asked, lambda: self._service.purge(timedelta(seconds=age), name=name), _purged)

    def _open_anew(self) -> None:
        for session in list(self._sessions):
            self._close(session)
        self._sessions.clear()
        self._do("reopen", {}, self._service.close)
        self._service = self._opened()

    def _some_layer(self) -> tuple[str, str]:
        """Return a repository and a digest: one that was listed, or a common one, which may not be there."""
        if self._layers and self._random.random() < 0.6:
            return self._random.choice(self._layers)
        number = self._random.randrange(len(COMMON))
        wanted = Payload(f"common-{number}", self._plan.seed).sha256(COMMON[number])
        return self._some_repository(), wanted


def _collected(report: CollectReport) -> dict[str, object]:
    return {
        "removed": [str(each.digest) for each in report.removed],
        "failed": [str(each.error) for each in report.failed],
    }


def _purged(report: PurgeReport) -> dict[str, object]:
    return {
        "removed": [each.uuid for each in report.removed],
        "failed": [str(each.error) for each in report.failed],
    }


def _pair(info: LayerInfo) -> tuple[str, str]:
    return info.name, str(info.digest)
