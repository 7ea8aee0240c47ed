"""Defects of listings: what they yield, in which order and how much, and what they remember."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge
from itertools import dropwhile, islice

from layerstore.driver import Driver
from layerstore.errors import PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import keys_below

PAGE = 1000
"""Keys: what one request for a listing, or for a deletion, takes at most on the common object stores."""

FEW = 2
"""Children: a page so small that a scenario need not store a thousand objects to turn one."""


def beside(driver: Driver, key: str) -> tuple[str, ...]:
    """Return the keys and prefixes beside a key that begin with the same letters."""
    above, _, _ = key.rpartition("/")
    return tuple(child for child in driver.list(above) if child.startswith(key) and child.rstrip("/") != key)


@planted("L1")
class GrandchildrenListed(DefectiveDriver):
    """A listing yields each prefix and its children, one level too deep."""

    def list(self, prefix: str) -> Iterator[str]:
        """List two levels."""
        for child in self.inner.list(prefix):
            yield child
            if child.endswith("/"):
                yield from self.inner.list(child.rstrip("/"))


@planted("L1")
class NamesWithoutTheirPrefix(DefectiveDriver):
    """A listing yields the last segments of its keys, not the whole keys."""

    def list(self, prefix: str) -> Iterator[str]:
        """List names."""
        return (child.removeprefix(f"{prefix}/") for child in self.inner.list(prefix))


@planted("L1")
class PrefixesWithoutASlash(DefectiveDriver):
    """A listing yields prefixes without the slash at their end, like keys."""

    def list(self, prefix: str) -> Iterator[str]:
        """List without slashes."""
        return (child.rstrip("/") for child in self.inner.list(prefix))


@planted("L1")
class TopNotListed(DefectiveDriver):
    """The listing of the top yields nothing."""

    def list(self, prefix: str) -> Iterator[str]:
        """List, but not the top."""
        return self.inner.list(prefix) if prefix else iter(())


@planted("L1")
class ListedByTheLetters(DefectiveDriver):
    """A listing also yields siblings of the prefix that begin with the same letters: ``foobar`` for ``foo``."""

    def list(self, prefix: str) -> Iterator[str]:
        """List what begins with the prefix."""
        alike = beside(self.inner, prefix) if prefix else ()
        yield from sorted((*alike, *self.inner.list(prefix)))


@planted("L1")
class ListingEndsAtAPrefix(DefectiveDriver):
    """A listing ends after the first prefix that it yields."""

    def list(self, prefix: str) -> Iterator[str]:
        """List to the first prefix."""
        for child in self.inner.list(prefix):
            yield child
            if child.endswith("/"):
                return


@planted("L2")
class ListedOutOfOrder(DefectiveDriver):
    """A listing yields all keys first and then the prefixes, as the pages of an object store do."""

    def list(self, prefix: str) -> Iterator[str]:
        """List keys, then prefixes."""
        yield from sorted(self.inner.list(prefix), key=lambda child: (child.endswith("/"), child))


@planted("L2")
class OrderedWithoutTheSlash(DefectiveDriver):
    """A listing is sorted by names without the slashes of prefixes."""

    def list(self, prefix: str) -> Iterator[str]:
        """List by names alone."""
        yield from sorted(self.inner.list(prefix), key=lambda child: child.rstrip("/"))


@planted("L2")
class PrefixesMergedByName(DefectiveDriver):
    """A listing merges keys with prefixes that are sorted by their names without the slash."""

    def list(self, prefix: str) -> Iterator[str]:
        """List prefixes by name, among the keys."""
        children = tuple(self.inner.list(prefix))
        names = sorted(child.rstrip("/") for child in children if child.endswith("/"))
        yield from merge((child for child in children if not child.endswith("/")), (f"{name}/" for name in names))


@planted("L2")
class OrderedWithoutCase(DefectiveDriver):
    """A listing is sorted alphabetically, without regard to case."""

    def list(self, prefix: str) -> Iterator[str]:
        """List as a dictionary does."""
        yield from sorted(self.inner.list(prefix), key=str.lower)


@planted("L2")
class PrefixListedForEveryKey(DefectiveDriver):
    """A prefix is yielded once for every key that lies below it."""

    def list(self, prefix: str) -> Iterator[str]:
        """List a child for each key."""
        for child in self.inner.list(prefix):
            if child.endswith("/"):
                yield from (child for _ in keys_below(self.inner, child.rstrip("/")))
            else:
                yield child


@planted("L2")
class FirstPageForEver(DefectiveDriver):
    """Every page of a listing is the first: what says where to go on is lost."""

    def list(self, prefix: str) -> Iterator[str]:
        """List the first page as long as it is a whole one."""
        while page := tuple(islice(self.inner.list(prefix), FEW)):
            yield from page
            if len(page) < FEW:
                return


@planted("L3")
class MissingPrefixRaises(DefectiveDriver):
    """The listing of a missing prefix raises, as that of a missing directory does."""

    def list(self, prefix: str) -> Iterator[str]:
        """List something, or raise."""
        found = False
        for child in self.inner.list(prefix):
            found = True
            yield child
        if prefix and not found:
            raise PathNotFoundError(prefix)


@planted("L3")
class KeyListsItself(DefectiveDriver):
    """The listing of a key yields the key itself, as ``ls`` of a file does."""

    def list(self, prefix: str) -> Iterator[str]:
        """List the key, too."""
        yield from self._itself(prefix)
        yield from self.inner.list(prefix)

    def _itself(self, prefix: str) -> tuple[str, ...]:
        try:
            return (prefix,) if prefix and self.inner.stat(prefix).version else ()
        except PathNotFoundError:
            return ()


@planted("L4")
class ListCapped(DefectiveDriver):
    """A listing ends after its first page of 1,000."""

    def list(self, prefix: str) -> Iterator[str]:
        """List one page."""
        return islice(self.inner.list(prefix), PAGE)


@planted("D1")
class DeleteStopsAtAThousand(DefectiveDriver):
    """A delete deletes at most 1,000 objects, the first page."""

    def delete(self, key: str) -> None:
        """Delete one page."""
        page = tuple(islice(keys_below(self.inner, key), PAGE))
        for each in page if len(page) == PAGE else (key,):
            self.inner.delete(each)


@planted("L4")
class ListPagesByNumber(DefectiveDriver):
    """The next page of a listing begins at a number: changes meanwhile make it repeat or skip children."""

    def list(self, prefix: str) -> Iterator[str]:
        """List by pages."""
        start = 0
        while page := tuple(islice(self.inner.list(prefix), start, start + FEW)):
            yield from page
            start += FEW


@planted("L4")
class ListingEndsWhereItsPlaceIsGone(DefectiveDriver):
    """A listing looks for the child it yielded last to go on, and ends if that was deleted meanwhile."""

    def list(self, prefix: str) -> Iterator[str]:
        """List on from the child yielded last."""
        child = next(self.inner.list(prefix), None)
        while child is not None:
            yield child
            child = _after(self.inner.list(prefix), child)


def _after(children: Iterator[str], place: str) -> str | None:
    """Return the child that comes after a place; None if the place is gone."""
    rest = dropwhile(lambda child: child != place, children)
    next(rest, None)
    return next(rest, None)


@planted("L4", "T2")
class OneListingAtATime(DefectiveDriver):
    """A handle has one position, which a new listing takes from the listing before."""

    _place: Iterator[str] = iter(())

    def list(self, prefix: str) -> Iterator[str]:
        """Begin to list, in the place of any other listing."""
        self._place = self.inner.list(prefix)
        while (child := next(self._place, None)) is not None:
            yield child


@planted("L1", "L5")
class ListingCached(DefectiveDriver):
    """A handle lists a prefix once, and yields the same whenever it is asked again."""

    def list(self, prefix: str) -> Iterator[str]:
        """List from memory."""
        cached = self.__dict__.setdefault("_listed", {})
        if prefix not in cached:
            cached[prefix] = tuple(self.inner.list(prefix))
        return iter(cached[prefix])


@planted("L4", "L2")
class ListingGoesOnAtAnIndex(DefectiveDriver):
    """A listing goes on at the next index, if there are as many keys as at the last step."""

    def list(self, prefix: str) -> Iterator[str]:
        """Look at the index, or after the last child."""
        index, count, last = 0, -1, ""
        while True:
            children = sorted(self.inner.list(prefix))
            if len(children) != count:
                index, count = bisect_right(children, last), len(children)
            if index >= len(children):
                return
            last = children[index]
            yield last
            index += 1
