"""Defects of the core: tools that meet a listing that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

from layerstore.contents import survey, walk
from layerstore.errors import LayerStoreError
from layerstore_conformance.engine.defect import planted_in_core

AREAS = walk.areas


@planted_in_core("L1")
def a_survey_that_missed_something_is_whole() -> Iterator[None]:
    """A scrub that could not list a repository takes what it has seen for all there is."""
    real = survey._Surveyor.missed

    def missed(self: survey._Surveyor, prefix: str, error: LayerStoreError) -> None:
        whole = self.found.whole
        real(self, prefix, error)
        self.found.whole = whole

    with patch.object(survey._Surveyor, "missed", missed):
        yield


@planted_in_core("L1")
def an_unlisted_repository_ends_the_walk() -> Iterator[None]:
    """A walk that cannot list a repository visits none of those that come after it."""

    class _Over(Exception):  # noqa: N818  (no error)
        pass

    def areas(children: walk.Children, name: str | None, missed: walk.Missed) -> Iterator[str]:
        def over(prefix: str, error: LayerStoreError) -> None:
            missed(prefix, error)
            raise _Over

        with suppress(_Over):
            yield from AREAS(children, name, over)

    with patch.object(walk, "areas", areas):
        yield


@planted_in_core("E1")
def a_top_unlisted_is_empty() -> Iterator[None]:
    """A walk that cannot list the repositories takes that for none."""

    def areas(children: walk.Children, name: str | None, missed: walk.Missed) -> Iterator[str]:
        def noted(prefix: str, error: LayerStoreError) -> None:
            with suppress(LayerStoreError):
                missed(prefix, error)

        yield from AREAS(children, name, noted)

    with patch.object(walk, "areas", areas):
        yield
