"""Defects of the core: what a front needs that keeps no handle between two requests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import listing
from layerstore.contents.listing import Listing
from layerstore.driver import Reader
from layerstore.layout import UploadKeys
from layerstore.service import LayerService, UploadInfo
from layerstore.upkeep import purge
from layerstore.uploads import finish
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingReader

BEGIN = LayerService.begin


@planted_in_core("P2", "L1")
def begun_upload_is_forgotten() -> Iterator[None]:
    """An upload that is begun is stored by its first bytes only."""

    def begin(self: LayerService, name: str) -> UploadInfo:
        with patch.object(finish, "put_start", lambda driver, keys, at: None):
            return BEGIN(self, name)

    with patch.object(LayerService, "begin", begin):
        yield


@planted_in_core("P1")
def begun_is_told_otherwise() -> Iterator[None]:
    """Who begins an upload is told another moment than who asks for it later."""

    def begin(self: LayerService, name: str) -> UploadInfo:
        begun = BEGIN(self, name)
        return begun._replace(started_at=begun.started_at + timedelta(microseconds=1))

    with patch.object(LayerService, "begin", begin):
        yield


@planted_in_core("P1")
def begun_upload_opens_a_writer() -> Iterator[None]:
    """An upload that is begun stores an empty object for its bytes, too."""

    def begin(self: LayerService, name: str) -> UploadInfo:
        begun = BEGIN(self, name)
        self.driver.put(UploadKeys(name, begun.uuid).data, b"")
        return begun

    with patch.object(LayerService, "begin", begin):
        yield


@planted_in_core("D1")
def cancel_keeps_what_was_only_begun() -> Iterator[None]:
    """A cancel removes an upload's bytes, and nothing where there are none."""
    real = LayerService.cancel

    def cancel(self: LayerService, name: str, uuid: str) -> None:
        if self.driver.find(UploadKeys(name, uuid).data) is not None:
            real(self, name, uuid)

    with patch.object(LayerService, "cancel", cancel):
        yield


@planted_in_core("S3")
def purge_keeps_what_was_only_begun() -> Iterator[None]:
    """A purge looks at uploads with bytes only."""
    real = purge._look

    def look(driver: CheckedDriver, keys: UploadKeys, taken: dict[str, datetime]) -> purge._Sight:
        seen = real(driver, keys, taken)
        return seen if seen.has_data or seen.moved else seen._replace(times=frozenset())

    with patch.object(purge, "_look", look):
        yield


@planted_in_core("M1")
def moved_is_never_said() -> Iterator[None]:
    """An upload whose data has become a blob does not say so."""
    with patch.object(LayerUpload, "moved", property(lambda self: False)):
        yield


@planted_in_core("M3")
def moved_before_the_move() -> Iterator[None]:
    """An upload says that its data has become a blob as soon as a finish has said which."""

    def moved(self: LayerUpload) -> bool:
        return next(self._driver.list(self._keys.intents), None) is not None

    with patch.object(LayerUpload, "moved", property(moved)):
        yield


@planted_in_core("L1")
def page_begins_with_the_last() -> Iterator[None]:
    """A page of repositories begins with the last one of the page before."""
    real = Listing.repositories

    def repositories(self: Listing, name: str = "", *, after: str = "") -> Iterator[str]:
        if not name and after in list(real(self)):
            yield after
        yield from real(self, name, after=after)

    with patch.object(Listing, "repositories", repositories):
        yield


@planted_in_core("L2")
def page_leaves_out_what_lies_below() -> Iterator[None]:
    """A page of repositories goes on with the next name, and leaves out those below the last one."""
    real = Listing.repositories

    def repositories(self: Listing, name: str = "", *, after: str = "") -> Iterator[str]:
        return (each for each in real(self, name, after=after) if not after or not each.startswith(f"{after}/"))

    with patch.object(Listing, "repositories", repositories):
        yield


@planted_in_core("L1")
def manifests_make_no_repository() -> Iterator[None]:
    """A repository with manifests alone is not listed."""
    with patch.object(listing, "AREAS", ("/_layers/", "/_uploads/")):
        yield


@planted_in_core("L1")
def no_repository_without_a_sha256() -> Iterator[None]:
    """A repository is listed for its layers if one of them is linked by its sha256."""
    real = Listing.repositories

    def repositories(self: Listing, name: str = "", *, after: str = "") -> Iterator[str]:
        for each in real(self, name, after=after):
            areas = {child.rsplit("/", 2)[-2] for child in self._children(f"{layout.REPOSITORIES}/{each}")}
            if areas != {"_layers"} or any(self._children(layout.links(each, "sha256"))):
                yield each

    with patch.object(Listing, "repositories", repositories):
        yield


@planted_in_core("L1", "P1")
def layers_need_a_sha256_link() -> Iterator[None]:
    """A layer is listed by its other digests if one is listed by its sha256."""
    real = Listing.layers

    def layers(self: Listing, name: str) -> Iterator[str]:
        found = list(real(self, name))
        return iter(found if any(each.startswith("sha256:") for each in found) else ())

    with patch.object(Listing, "layers", layers):
        yield


@planted_in_core("L1")
def tarsums_are_not_listed() -> Iterator[None]:
    """A layer is not listed by its tarsum."""
    with patch.object(listing, "ALGORITHMS", listing.ALGORITHMS[:-1]):
        yield


class _FiledReader(PassingReader):
    """A reader that has a file, which holds something else than the object."""

    def __init__(self, inner: Reader, content: bytes) -> None:
        """Write the file."""
        super().__init__(inner)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (release closes it)
        self._file.write(content)
        self._file.flush()

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return self._file.fileno()

    def release(self) -> None:
        """Close both."""
        super().release()
        self._file.close()


@planted("R1")
class DescriptorOfAnotherFile(DefectiveDriver):
    """A reader's descriptor is of a file that does not hold the object."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, with that file."""
        return _FiledReader(super().open_reader(key, offset), b"another file")


@planted("R1")
class DescriptorBehindAHeader(DefectiveDriver):
    """A reader's descriptor is of a file in which the object stands behind a header of the driver's own."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, with that file."""
        with self.inner.open_reader(key) as whole:
            return _FiledReader(super().open_reader(key, offset), b"header" + whole.readall())
