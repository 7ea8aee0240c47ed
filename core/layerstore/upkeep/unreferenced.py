"""Dropping what no manifest refers to: links to layers and, if asked for, manifests that nothing leads to.

In each repository, in rounds, until a round drops nothing:

    look            read all tags, all links, and all manifests; pick the links that nothing there refers to, and that
                    were written before the grace
    condemn         spell each link that was picked in another way, by a writer, unless it was written meanwhile
    look again      read everything anew
    drop            move each link that still nothing refers to away, if it is still at the version that was condemned;
                    spell the others as before

Nothing is dropped of a repository in which something cannot be read or understood. A condemned link is a link for all
who read it, so nothing that was there is away for a moment, and a collection that is killed here has changed nothing.

Whoever stores a reference puts it first, and then looks at the link that it refers to: a registry puts a manifest's
link, and looks at its layers' and its children's; it puts a tag, and looks at the manifest's link. There are three
cases, and in none of them a reference that was acknowledged leads nowhere:

- The link is as it was. So it was read before it was condemned, and the reference was put before that. The second look
  begins after the condemning, so it sees the reference, and the link stays.
- The link is condemned. Then it is spelled as before, by a writer that ends (:func:`layerstore.contents.links.renew`).
  Either that comes before the drop: the bytes have changed, so the link is at another version (S2), the drop's move is
  refused (M4), and the link stays. Or it comes after the drop: the writer finds that it is fenced, or that there is no
  link (F2, F3).
- The link is gone. Then the reference is taken away again, and the client hears that the layer or manifest is missing.

So much holds for any grace, and for a request that stands still for any time between two of its steps. Further:

- ``finish`` and ``mount`` put a link whole. Put before it is condemned, it is younger than the grace, and not
  condemned: its age is read while the writer that condemns it is open, and a put in between fences that writer (F2).
  Put after it was condemned, its bytes have changed (S2, M4). An object store that compares bytes alone may miss a put
  of the same link while the writer is being opened, so the link may be as old to it as before: `docs/s3.md`.
- A link that was removed meanwhile is neither condemned nor put back, for each step is a writer's: it finds no link, or
  is fenced (F2, F3).
- A manifest is condemned only when no index in its repository has it, and a layer only when no manifest has it. While
  a manifest is there, condemned or not, what it refers to is safe; that may go in a round after the manifest has gone.
  So a manifest that is renewed still has all that it had, and of one that is put anew the references are looked at.
- A second collection may condemn what another has condemned, and drops it at a version of its own, after a look of its
  own. If one of them spells a link as before, the other's move is refused.
- A collection that is killed leaves links condemned; they are links, and young. The next one spells them as before, or
  drops them past the grace.

A client that asks whether a layer is there, and stores the manifest later, needs the time in between: a registry makes
the link young when it answers, and the grace has to be longer than a push.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links, walk
from layerstore.contents.manifest import NotUnderstoodError
from layerstore.contents.repository import Found, Repository, Sight, Unlinked
from layerstore.driver import Foreign
from layerstore.errors import DriverError, FencedError, LayerStoreError, PathNotFoundError
from layerstore.upkeep.report import Report


@dataclass(slots=True)
class Dropped(Report[Unlinked]):
    """The result of a drop of links; ``kept`` are those to which something refers again by now."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Repositories of which nothing was dropped, and why."""


def drop(driver: CheckedDriver, before: datetime, *, untagged: bool, dry_run: bool) -> Dropped:
    """Drop, in all repositories, the links that nothing refers to and that were written before a moment.

    With ``untagged``, manifests that no tag, no index and no subject leads to are dropped, too.

    Raises:
        DriverError: the repositories cannot be listed.
    """
    dropped = Dropped(dry_run)
    for name in dict.fromkeys(map(walk.repository, list(walk.areas(walk.telling(driver, _pass), None, walk.stop)))):
        try:
            work = _Dropping(driver, Repository(driver, name), before, untagged, dry_run, dropped)
            while work.round():
                pass
        except (NotUnderstoodError, LayerStoreError) as error:
            dropped.skipped[name] = str(error)
    return dropped


def _pass(foreign: Foreign) -> None:
    """Leave it: it is beside the areas that are looked through, where everything has to be understood."""
    del foreign


@dataclass(frozen=True, slots=True)
class _Dropping:
    """The work on one repository."""

    driver: CheckedDriver
    repository: Repository
    before: datetime
    untagged: bool
    dry_run: bool
    dropped: Dropped
    tried: set[str] = field(default_factory=set)
    """Keys that were picked in a round. None is picked again, and in a dry run they count as gone."""

    def round(self) -> bool:
        """Drop what nothing refers to; return whether there was anything.

        Raises:
            NotUnderstoodError, LayerStoreError: something could not be understood or read; nothing was dropped.
        """
        seen = self._look()
        idle = seen.idle(untagged=self.untagged)
        picked = list(self._old([each for each in idle if each.link.key not in self.tried]))
        self.tried.update(each.link.key for each in picked)
        if self.dry_run:
            self.dropped.removed += [each.link for each in picked]
        else:
            self._reprieve(each for each in seen.found if each.condemned and each not in idle)
            self._end([(each, version) for each in picked if (version := self._condemned(each))])
        return bool(picked)

    def _look(self) -> Sight:
        return self.repository.look(without=self.tried if self.dry_run else ())

    def _old(self, idle: list[Found]) -> Iterator[Found]:
        """Yield those of which every name was written before the grace."""
        stats = {each.link.key: self.driver.find(each.link.key) for each in idle}
        young = {
            (each.link.kind, each.target)
            for each in idle
            if (stat := stats[each.link.key]) is not None and stat.modified >= self.before
        }
        return (each for each in idle if (each.link.kind, each.target) not in young)

    def _condemned(self, found: Found) -> str | None:
        """Condemn a link, and return its version then; None if it is used after all, or gone."""
        try:
            if found.link.kind == "referrer":  # a line feed does not change what it says
                return links.write_into(self.driver, found.link.key, b"\n", at_end=True, before=self.before)
            return links.write_into(self.driver, found.link.key, links.CONDEMNED, before=self.before)
        except FencedError:
            return None
        except DriverError as error:
            self.dropped.failed.append(replace(found.link, error=error))
            return None

    def _end(self, condemned: list[tuple[Found, str]]) -> None:
        """Drop what was condemned and is still referred to by nothing; spell the rest as before."""
        idle = set[str]()
        try:
            idle = {each.link.key for each in self._look().idle(untagged=self.untagged)} if condemned else idle
        finally:
            self._reprieve(each for each, _ in condemned if each.link.key not in idle)
        self.dropped.kept += [each.link for each, _ in condemned if each.link.key not in idle]
        for each, version in condemned:
            if each.link.key in idle:
                self._drop(each.link, version)

    def _drop(self, link: Unlinked, version: str) -> None:
        gone = layout.deleted()
        try:
            self.driver.move(link.key, gone, version=version)
        except (FencedError, PathNotFoundError):
            return  # it was renewed, or removed
        except DriverError as error:
            self.dropped.failed.append(replace(link, error=error))
            return
        self.dropped.removed.append(link)
        with suppress(DriverError):  # the next collection deletes it
            self.driver.delete(gone)

    def _reprieve(self, condemned: Iterable[Found]) -> None:
        """Spell links as before; if one cannot be, it is a link all the same, and the next collection's to spell."""
        for each in condemned:
            with suppress(DriverError):
                if each.link.kind != "referrer":
                    links.spell(self.driver, each.link.key)
