"""Manifests and tags in the store, where a CNCF registry keeps them.

A manifest's bytes are a blob, and a revision's link leads to it. No layer's link leads to it, so it is no blob of the
repository. A tag is one small object, which is put in one step: a reader finds the old manifest or the new one.

    push      blob, revision, look for the blob, referrer, look for what it refers to, tag's entry, tag, look for the
              revision and the referrer
    delete    tags that stand for it, entries, referrer, revisions, look for the revision and for tags

If a garbage collection, or a delete of the same manifest, comes at the same time as a push, the push looks again, finds
what was removed, and stores it again. A delete removes a tag only at the version at which it pointed to the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layerstore import Digest, FencedError, InvalidDigestError, PathNotFoundError, layout
from layerstore.contents import links

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver

MAX_STORED = 64 << 20
"""The largest manifest or record that is read, in bytes: other registries may accept larger ones than this one."""


class Revisions:
    """The manifests of all repositories in one store."""

    def __init__(self, driver: CheckedDriver) -> None:
        """Store them by a driver."""
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
        """Remove a manifest's names. Then the repository does not have the manifest any more."""
        for digest in names:
            self._driver.delete(layout.revision(name, digest))

    def versions(self, name: str, names: Iterable[Digest]) -> dict[str, str]:
        """Return the versions at which names of a manifest are seen, by their keys."""
        stats = {key: self._driver.find(key) for key in (layout.revision(name, each) for each in names)}
        return {key: stat.version for key, stat in stats.items() if stat}

    def remove_at(self, versions: dict[str, str]) -> None:
        """Remove names of a manifest, except those that were stored again since."""
        for key, version in versions.items():
            with suppress(FencedError, PathNotFoundError):
                self._remove_at(key, version)

    def standing_for(self, name: str, tag: str) -> Digest | None:
        """Return the sha256 of the manifest to which a tag points; None if there is none."""
        return self._link(layout.tag(name, tag))

    def told_by(self, name: str, tag: str, canonical: Digest) -> Digest:
        """Return the digest by which a tag was pushed: the manifest's sha256, if no other is stored."""
        try:
            told, _, whose = (
                self._driver.get(layout.tag_digest(name, tag), 2 * links.MAX_LINK).decode("ascii").partition(" ")
            )
            digest = Digest.parse(told)
        except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
            return canonical
        return digest if whose == str(canonical) and self.find(name, digest) == canonical else canonical

    def tag(self, name: str, tag: str, canonical: Digest, told: Digest) -> None:
        """Point a tag to a manifest, which was pushed by a digest."""
        text = str(canonical).encode("ascii")
        if told == canonical:
            self._driver.delete(layout.tag_digest(name, tag))
        else:
            self._driver.put(layout.tag_digest(name, tag), f"{told} {canonical}".encode("ascii"))
        self._driver.put(layout.tag_entry(name, tag, canonical), text)
        self._driver.put(layout.tag(name, tag), text)

    def untag(self, name: str, tag: str) -> bool:
        """Remove a tag, and return whether there was one."""
        key = layout.tag(name, tag)
        if self._driver.find(key) is None:
            return False
        self._driver.delete(key)
        self._driver.delete(layout.tag_digest(name, tag))
        self._driver.delete(f"{layout.tags(name)}/{tag}/index")
        return True

    def untag_all(self, name: str, canonical: Digest) -> None:
        """Remove every tag that points to a manifest, and its entries in other tags."""
        for tag in self.tags(name):
            if self._untag_if(layout.tag(name, tag), canonical):
                self._driver.delete(layout.tag_digest(name, tag))  # of a push meanwhile, its sha256 is told
            self._driver.delete(layout.tag_entry(name, tag, canonical))

    def tags(self, name: str) -> list[str]:
        """Return the names that may be tags of a repository, ascending by bytes. Some may point to nothing."""
        below = (child.split("/")[-2] for child in self._driver.list(layout.tags(name)) if child.endswith("/"))
        return sorted(tag for tag in below if layout.is_tag(tag))

    def is_tag(self, name: str, tag: str) -> bool:
        """Return whether a tag points to a manifest."""
        return self._driver.find(layout.tag(name, tag)) is not None

    def is_repository(self, name: str) -> bool:
        """Return whether anything of a repository is stored."""
        children = self._driver.list(f"{layout.REPOSITORIES}/{layout.check_name(name)}")
        return any(child.rstrip("/").rpartition("/")[2].startswith("_") for child in children)

    def remember(self, name: str, subject: Digest, digest: Digest, descriptor: dict[str, Any]) -> None:
        """Store that a manifest refers to another one."""
        self._driver.put(layout.referrer(name, subject, digest), json.dumps(descriptor).encode("ascii"))

    def remembers(self, name: str, subject: Digest, digest: Digest) -> bool:
        """Return whether it is stored that a manifest refers to another one."""
        return self._driver.find(layout.referrer(name, subject, digest)) is not None

    def forget(self, name: str, subject: Digest, names: Iterable[Digest]) -> None:
        """Forget that a manifest refers to another one."""
        for digest in names:
            self._driver.delete(layout.referrer(name, subject, digest))

    def referrers(self, name: str, subject: Digest) -> Iterator[tuple[Digest, dict[str, Any]]]:
        """Yield the manifests that refer to another one and are there, with their descriptors, ascending."""
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
        """Remove a tag if it is still at the version at which it pointed to a manifest. A newer tag stays.

        Return whether no newer tag stayed.
        """
        while (stat := self._driver.find(key)) is not None and self._link(key) == canonical:
            with suppress(FencedError, PathNotFoundError):
                self._remove_at(key, stat.version)
        return stat is None

    def _remove_at(self, key: str, version: str) -> None:
        """Remove an object, if it is still at a version.

        Raises:
            FencedError: it is at another version.
            PathNotFoundError: there is no such object.
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
