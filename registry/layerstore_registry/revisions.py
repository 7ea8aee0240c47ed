"""Manifests and tags in the store, where a CNCF registry keeps them.

A manifest's bytes are a blob, which a revision's link leads to; no layer's link does, so that it is no blob of the
repository. What a tag stands for is one small object, put at once: whoever reads it finds the old one or the new one.

    push      blob, revision, look for the blob, referrer, look for what it refers to, tag's entry, tag, look for the
              revision and the referrer
    delete    tags that stand for it, entries, referrer, revisions, look for the revision and for tags

A push that meets a collection of garbage, or a delete of the same manifest, finds by its second looks what was taken
away, and puts it again. A delete takes a tag away only at the version at which it stood for the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layerstore import Digest, FencedError, InvalidDigestError, PathNotFoundError, layout, links

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver

MAX_STORED = 64 << 20
"""Largest manifest or record that is read, in bytes: another registry may take larger ones than this."""


class Revisions:
    """The manifests of all repositories in one store."""

    def __init__(self, driver: CheckedDriver) -> None:
        """Keep them by a driver."""
        self._driver = driver

    def find(self, name: str, digest: Digest) -> Digest | None:
        """Return the sha256 of a manifest; None if the repository does not have it."""
        return self._link(layout.revision(name, digest))

    def renew(self, name: str, digest: Digest) -> Digest | None:
        """Return the sha256 of a manifest, and have it stay for now; None if the repository does not have it."""
        found = links.renew(self._driver, layout.revision(name, digest))
        return found if found and found.algorithm == "sha256" else None

    def read(self, name: str, digest: Digest) -> bytes | None:
        """Return the bytes of a manifest; None if the repository does not have it."""
        canonical = self.find(name, digest)
        try:
            data = None if canonical is None else self._driver.get(layout.blob(canonical), MAX_STORED)
        except PathNotFoundError:
            return None
        return data if data is not None and Digest.of(data) == canonical else None

    def add(self, name: str, data: bytes, canonical: Digest, names: Iterable[Digest]) -> None:
        """Store a manifest under all its names; ``canonical`` is its sha256."""
        self._driver.put(layout.blob(canonical), data)
        for digest in {canonical: None, **dict.fromkeys(names)}:
            self._driver.put(layout.revision(name, digest), str(canonical).encode("ascii"))
        if self._driver.find(layout.blob(canonical)) is None:  # a collection has seen it before its link
            self._driver.put(layout.blob(canonical), data)

    def remove(self, name: str, names: Iterable[Digest]) -> None:
        """Take a manifest's names away; it is no manifest of the repository any more."""
        for digest in names:
            self._driver.delete(layout.revision(name, digest))

    def versions(self, name: str, names: Iterable[Digest]) -> dict[str, str]:
        """Return the versions at which names of a manifest are seen, by their keys."""
        stats = {key: self._driver.find(key) for key in (layout.revision(name, each) for each in names)}
        return {key: stat.version for key, stat in stats.items() if stat}

    def remove_at(self, versions: dict[str, str]) -> None:
        """Take names of a manifest away where nobody has put them again since."""
        for key, version in versions.items():
            with suppress(FencedError, PathNotFoundError):
                self._remove_at(key, version)

    def standing_for(self, name: str, tag: str) -> Digest | None:
        """Return the sha256 of the manifest that a tag stands for; None if it stands for none."""
        return self._link(layout.tag(name, tag))

    def told_by(self, name: str, tag: str, canonical: Digest) -> Digest:
        """Return the digest by which a tag of a manifest was pushed: its sha256, if nothing else is noted."""
        try:
            told, _, whose = (
                self._driver.get(layout.tag_digest(name, tag), 2 * links.MAX_LINK).decode("ascii").partition(" ")
            )
            digest = Digest.parse(told)
        except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
            return canonical
        return digest if whose == str(canonical) and self.find(name, digest) == canonical else canonical

    def tag(self, name: str, tag: str, canonical: Digest, told: Digest) -> None:
        """Have a tag stand for a manifest, which was pushed by a digest."""
        text = str(canonical).encode("ascii")
        if told == canonical:
            self._driver.delete(layout.tag_digest(name, tag))
        else:
            self._driver.put(layout.tag_digest(name, tag), f"{told} {canonical}".encode("ascii"))
        self._driver.put(layout.tag_entry(name, tag, canonical), text)
        self._driver.put(layout.tag(name, tag), text)

    def untag(self, name: str, tag: str) -> bool:
        """Take a tag away, and tell whether there was one."""
        key = layout.tag(name, tag)
        if self._driver.find(key) is None:
            return False
        self._driver.delete(key)
        self._driver.delete(layout.tag_digest(name, tag))
        self._driver.delete(f"{layout.tags(name)}/{tag}/index")
        return True

    def untag_all(self, name: str, canonical: Digest) -> None:
        """Take away every tag that stands for a manifest, and what reminds of it in other tags."""
        for tag in self.tags(name):
            if self._untag_if(layout.tag(name, tag), canonical):
                self._driver.delete(layout.tag_digest(name, tag))  # of a push meanwhile, its sha256 is told
            self._driver.delete(layout.tag_entry(name, tag, canonical))

    def tags(self, name: str) -> list[str]:
        """Return what may be a tag of a repository, ascending by bytes; some may stand for nothing."""
        below = (child.split("/")[-2] for child in self._driver.list(layout.tags(name)) if child.endswith("/"))
        return sorted(tag for tag in below if layout.is_tag(tag))

    def is_tag(self, name: str, tag: str) -> bool:
        """Tell whether a tag stands for something."""
        return self._driver.find(layout.tag(name, tag)) is not None

    def is_repository(self, name: str) -> bool:
        """Tell whether anything is stored of a repository."""
        children = self._driver.list(f"{layout.REPOSITORIES}/{layout.check_name(name)}")
        return any(child.rstrip("/").rpartition("/")[2].startswith("_") for child in children)

    def remember(self, name: str, subject: Digest, digest: Digest, descriptor: dict[str, Any]) -> None:
        """Note that a manifest refers to another one."""
        self._driver.put(layout.referrer(name, subject, digest), json.dumps(descriptor).encode("ascii"))

    def remembers(self, name: str, subject: Digest, digest: Digest) -> bool:
        """Tell whether that is noted."""
        return self._driver.find(layout.referrer(name, subject, digest)) is not None

    def forget(self, name: str, subject: Digest, names: Iterable[Digest]) -> None:
        """Drop that note."""
        for digest in names:
            self._driver.delete(layout.referrer(name, subject, digest))

    def referrers(self, name: str, subject: Digest) -> Iterator[tuple[Digest, dict[str, Any]]]:
        """Yield the manifests that refer to one, with their descriptors, ascending; those that are there."""
        top = layout.referrers(name, subject)
        for algorithm in self._driver.list(top):
            for child in self._driver.list(algorithm.rstrip("/")):
                found = self._noted(name, subject, child.rstrip("/").removeprefix(f"{top}/"))
                if found is not None:
                    yield found

    def _noted(self, name: str, subject: Digest, place: str) -> tuple[Digest, dict[str, Any]] | None:
        try:
            digest = Digest(*place.split("/"))
            descriptor = json.loads(self._driver.get(layout.referrer(name, subject, digest), MAX_STORED))
        except (InvalidDigestError, TypeError, ValueError, PathNotFoundError):
            return None  # not ours, or gone since it was listed
        return (digest, descriptor) if isinstance(descriptor, dict) and self.find(name, digest) else None

    def _untag_if(self, key: str, canonical: Digest) -> bool:
        """Take a tag away at the version at which it was seen to stand for a manifest; what others put there stays.

        Tell whether nothing stayed.
        """
        while (stat := self._driver.find(key)) is not None and self._link(key) == canonical:
            with suppress(FencedError, PathNotFoundError):
                self._remove_at(key, stat.version)
        return stat is None

    def _remove_at(self, key: str, version: str) -> None:
        """Remove an object, if it is still at a version.

        Raises:
            FencedError: it is not.
            PathNotFoundError: there is none.
        """
        gone = layout.deleted()
        self._driver.move(key, gone, version=version)
        self._driver.delete(gone)

    def _link(self, key: str) -> Digest | None:
        try:
            target = links.pointed(self._driver, key, padded=False)
        except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
            return None
        return target if target.algorithm == "sha256" else None
