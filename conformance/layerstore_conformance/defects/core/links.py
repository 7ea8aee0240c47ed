"""Defects of the core: which repository has which layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from unittest.mock import patch

from layerstore import layout, service
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import InvalidDigestError, InvalidUploadIDError, PathNotFoundError, UnknownLayerError
from layerstore.layer import Layer, open_layer
from layerstore.service import LayerInfo, LayerService, UploadInfo
from layerstore.uploads import finish, upload
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("P1")
def alias_is_not_linked() -> Iterator[None]:
    """A layer is linked by its sha256 alone, whatever digest it was finished by."""
    real = links.write

    def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        if digest.algorithm == "sha256":
            real(driver, name, digest, target)

    with patch.object(links, "write", write):
        yield


@planted_in_core("P1")
def tarsum_is_pointed_elsewhere() -> Iterator[None]:
    """A tarsum names the layer that was finished by it last."""

    def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        driver.put(layout.link(name, digest), str(target).encode("ascii"))

    with patch.object(links, "write", write), patch.object(links, "check_free", lambda *_: None):
        yield


@planted_in_core("R3")
def exists_without_a_blob() -> Iterator[None]:
    """A layer exists if its link does, with a blob or without; and it is listed, without a size."""

    def exists(self: LayerService, name: str, digest: Digest | str) -> bool:
        return self.driver.find(layout.link(name, Digest.parse(digest))) is not None

    with patch.object(LayerService, "exists", exists):
        yield


@planted_in_core("P1")
def damaged_link_is_an_error() -> Iterator[None]:
    """A link that cannot be read raises an error of storage when the layer is asked for."""

    def read(driver: CheckedDriver, name: str, digest: Digest) -> Digest | None:
        try:
            return Digest.parse(driver.get(layout.link(name, digest), links.MAX_LINK).decode("ascii"))
        except PathNotFoundError:
            return None

    with patch.object(links, "read", read):
        yield


@planted_in_core("K3")
def link_is_followed_anywhere() -> Iterator[None]:
    """A link leads to any layer that its text names."""

    def read(driver: CheckedDriver, name: str, digest: Digest) -> Digest | None:
        try:
            target = Digest.parse(driver.get(layout.link(name, digest), links.MAX_LINK).decode("ascii"))
        except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
            return None
        return target if target.algorithm == "sha256" else None

    with patch.object(links, "read", read):
        yield


@planted_in_core("K3")
def repository_is_ignored_by_fetch() -> Iterator[None]:
    """A layer can be fetched from any repository by its digest."""

    def fetch(self: LayerService, name: str, digest: Digest | str) -> Layer:
        wanted = Digest.parse(digest)
        layout.check_name(name)
        try:
            return open_layer(self.driver, name, wanted)
        except UnknownLayerError:
            if wanted.algorithm != "sha256" or (stat := self.driver.find(layout.blob(wanted))) is None:
                raise
            return Layer(self.driver, name, wanted, wanted, stat.modified, stat.size)

    with patch.object(LayerService, "fetch", fetch):
        yield


@planted_in_core("K3")
def repository_is_ignored_by_exists() -> Iterator[None]:
    """A layer of one repository exists in every other."""
    real = LayerService.exists

    def exists(self: LayerService, name: str, digest: Digest | str) -> bool:
        wanted = Digest.parse(digest)
        if wanted.algorithm != "sha256":
            return real(self, name, wanted)
        layout.check_name(name)
        return self.driver.find(layout.blob(wanted)) is not None

    with patch.object(LayerService, "exists", exists):
        yield


@planted_in_core("P1")
def mount_links_nothing() -> Iterator[None]:
    """A mount returns the source's layer, and links nothing."""

    def mount(self: LayerService, name: str, digest: Digest | str, *, source: str) -> Layer:
        layer = self.fetch(source, digest)
        layer.name = layout.check_name(name)
        return layer

    with patch.object(LayerService, "mount", mount):
        yield


@planted_in_core("S3")
def mount_does_not_ask_the_source() -> Iterator[None]:
    """A mount links any layer of the store, even if the source does not have it."""

    def mount(self: LayerService, name: str, digest: Digest | str, *, source: str) -> Layer:
        wanted = Digest.parse(digest)
        layout.check_name(source)
        links.write(self.driver, layout.check_name(name), wanted, wanted)
        return self.fetch(name, wanted)

    with patch.object(LayerService, "mount", mount):
        yield


@planted_in_core("P1")
def mount_copies() -> Iterator[None]:
    """A mount reads the layer and writes it again."""
    real = LayerService.mount

    def mount(self: LayerService, name: str, digest: Digest | str, *, source: str) -> Layer:
        with self.fetch(source, digest) as layer:
            self.driver.put(layout.blob(layer.canonical), layer.read())
        return real(self, name, digest, source=source)

    with patch.object(LayerService, "mount", mount):
        yield


@planted_in_core("D1")
def unlink_deletes_the_blob() -> Iterator[None]:
    """An unlink in one repository deletes the blob for all."""
    real = LayerService.unlink

    def unlink(self: LayerService, name: str, digest: Digest | str) -> None:
        canonical = links.read(self.driver, name, Digest.parse(digest))
        real(self, name, digest)
        if canonical is not None:
            self.driver.delete(layout.blob(canonical))

    with patch.object(LayerService, "unlink", unlink):
        yield


@planted_in_core("D2")
def unlink_of_nothing_is_accepted() -> Iterator[None]:
    """An unlink of a layer that is not there raises no error."""

    def unlink(self: LayerService, name: str, digest: Digest | str) -> None:
        self.driver.delete(layout.link(name, Digest.parse(digest)))

    with patch.object(LayerService, "unlink", unlink):
        yield


@planted_in_core("L1", "L3")
def layers_of_a_sibling_listed() -> Iterator[None]:
    """A listing of a repository's layers includes those of repositories with similar names."""
    real = LayerService.layers

    def layers(self: LayerService, name: str | None = None) -> Iterator[LayerInfo]:
        for each in self.repositories() if name else [None]:
            if name is None or (each or "").startswith(name):
                yield from real(self, each)

    with patch.object(LayerService, "layers", layers):
        yield


@planted_in_core("L4")
def layers_listed_up_to_a_thousand() -> Iterator[None]:
    """A listing of a repository's layers ends at a thousand."""
    real = LayerService.layers
    with patch.object(LayerService, "layers", lambda self, name=None: islice(real(self, name), 1000)):
        yield


@planted_in_core("L1")
def foreign_keys_are_an_error() -> Iterator[None]:
    """Keys of other programs among layers and uploads are an error, and so is a start time that cannot be read."""

    def layer(self: LayerService, name: str, text: str) -> Iterator[LayerInfo]:
        with self.fetch(name, text) as found:
            yield LayerInfo(name, found.digest, found.size, found.created_at)

    def started_at(self: LayerService, keys: layout.UploadKeys) -> datetime:
        return datetime.fromisoformat(self.driver.get(keys.started_at, 64).decode("ascii"))

    with patch.object(LayerService, "_layer", layer), patch.object(LayerService, "_started_at", started_at):
        yield


@planted_in_core("L3")
def listing_takes_away() -> Iterator[None]:
    """A listing of uploads removes keys that are no uploads."""
    real = LayerService._upload

    def upload_or_nothing(self: LayerService, name: str, uuid: str) -> Iterator[UploadInfo]:
        found = list(real(self, name, uuid))
        with suppress(InvalidUploadIDError):
            if not found:
                finish.remove(self.driver, layout.UploadKeys(name, uuid))
        yield from found

    with patch.object(LayerService, "_upload", upload_or_nothing):
        yield


@planted_in_core("R6")
def layer_is_read_when_opened() -> Iterator[None]:
    """A layer is read whole when it is opened."""

    def open_and_read(driver: CheckedDriver, name: str, digest: Digest) -> Layer:
        layer = open_layer(driver, name, digest)
        layer.readall()
        layer.seek(0)
        return layer

    with patch.object(service, "open_layer", open_and_read), patch.object(upload, "open_layer", open_and_read):
        yield


@planted_in_core("S1")
def layer_without_its_size() -> Iterator[None]:
    """A layer's size is 0."""
    real = Layer.__init__

    def init(self: Layer, *args: object) -> None:
        real(self, *args)  # type: ignore[arg-type]  # passed on
        self.size = 0

    with patch.object(Layer, "__init__", init):
        yield


@planted_in_core("T4")
def layer_does_not_close_its_reader() -> Iterator[None]:
    """A layer that is closed keeps its reader open until it is collected."""
    with patch.object(Layer, "close", lambda self: None):
        yield
