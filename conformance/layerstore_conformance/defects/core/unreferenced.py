"""Defects of the core: dropping links that nothing refers to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.contents import links, manifest
from layerstore.contents.manifest import NotUnderstoodError, References
from layerstore.contents.repository import Found, Repository, Sight, Unlinked
from layerstore.digest import Digest
from layerstore.upkeep.unreferenced import _Dropping as Dropping
from layerstore_conformance.engine.defect import planted_in_core

PARSED = manifest._parsed


@planted_in_core("M4")
def gc_unreferenced_drops_all() -> Iterator[None]:
    """A collection of what nothing refers to takes every layer for such."""

    def idle(self: Sight, *, untagged: bool) -> list[Found]:
        del untagged
        return [each for each in self.found if each.link.kind == "layer"]

    with patch.object(Sight, "idle", idle):
        yield


@planted_in_core("M4")
def gc_unreferenced_drops_nothing() -> Iterator[None]:
    """A collection of what nothing refers to leaves it where it is."""
    with patch.object(Sight, "idle", lambda self, *, untagged: []):
        yield


@planted_in_core("M4")
def gc_unreferenced_guesses() -> Iterator[None]:
    """A manifest that cannot be understood is taken for one that refers to nothing."""
    real = Repository._references

    def references(self: Repository, found: Found) -> dict[Digest, References]:
        with suppress(NotUnderstoodError):
            return real(self, found)
        return {}

    with patch.object(Repository, "_references", references):
        yield


@planted_in_core("S2")
def gc_unreferenced_looks_once() -> Iterator[None]:
    """A collection drops what it has condemned, and does not look whether it is referred to by then."""
    real, look = Dropping._end, Dropping._look

    def end(self: Dropping, condemned: list[tuple[Found, str]]) -> None:
        seen = look(self)

        with patch.object(Dropping, "_look", lambda self: seen._replace(references={})):
            real(self, condemned)

    with patch.object(Dropping, "_end", end):
        yield


@planted_in_core("M4")
def gc_unreferenced_drops_any_version() -> Iterator[None]:
    """A collection deletes a link that was renewed since it was condemned."""

    def drop(self: Dropping, link: Unlinked, version: str) -> None:
        del version
        self.driver.delete(link.key)
        self.dropped.removed.append(link)

    with patch.object(Dropping, "_drop", drop):
        yield


@planted_in_core("F2", "S2")
def renewed_link_stays_condemned() -> Iterator[None]:
    """Whoever needs a layer sees that its link is there, and does not spell it as before."""

    def renew(driver: CheckedDriver, key: str) -> Digest | None:
        return links.pointed(driver, key, padded=False) if driver.find(key) else None

    with patch.object(links, "renew", renew):
        yield


@planted_in_core("E1")
def deep_manifest_is_an_error() -> Iterator[None]:
    """A manifest that is nested more deeply than can be followed ends a collection."""

    def parsed(data: bytes) -> dict[str, Any]:
        try:
            json.loads(data)
        except RecursionError as error:
            raise SystemError("nested too deeply") from error
        except ValueError:
            pass
        return PARSED(data)

    with patch.object(manifest, "_parsed", parsed):
        yield


@planted_in_core("M4")
def digests_of_other_types_are_passed_over() -> Iterator[None]:
    """A member that should be a digest, and is no text, is taken for none."""
    real = manifest._parse

    def parse(text: object) -> Digest:
        return real(text) if isinstance(text, str) else Digest.of(b"")

    with patch.object(manifest, "_parse", parse):
        yield
