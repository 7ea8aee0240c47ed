"""The driver contract on every driver: listing, moving and deleting (L, M, D)."""

import itertools

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import FencedError, PathNotFoundError

# Characters on both sides of the slash in the order of bytes, and capitals: the order of no file manager.
TREE = ["Z", "a+", "a-b/x", "a.b", "a/b+/c", "a/b.c", "a/b/c/d", "a/b/e", "a/b0", "a0", "a_", "aa/x", "b"]
CHILDREN = {
    "": ["Z", "a+", "a-b/", "a.b", "a/", "a0", "a_", "aa/", "b"],
    "a": ["a/b+/", "a/b.c", "a/b/", "a/b0"],
    "a/b": ["a/b/c/", "a/b/e"],
    "a/b/c": ["a/b/c/d"],
    "a-b": ["a-b/x"],
}


@pytest.mark.parametrize("prefix", CHILDREN)
def test_a_listing_is_what_lies_directly_below(driver: CheckedDriver, other: CheckedDriver, prefix: str) -> None:
    """Whole keys, and prefixes with a slash for what lies deeper, once each and in order of bytes (L1, L2)."""
    for key in reversed(TREE):
        driver.put(key, b"1")
    assert list(other.list(prefix)) == CHILDREN[prefix]


def test_a_key_that_is_also_a_prefix_is_listed_as_both(driver: CheckedDriver, other: CheckedDriver) -> None:
    """With nested_keys a key stands beside the prefix of the same name, and not in between (L1, L2, C2)."""
    if not driver.capabilities.nested_keys:
        pytest.skip("the driver does not declare nested_keys")
    for key in ("a", "a/b", "a-", "a/b/c"):
        driver.put(key, b"1")
    assert list(other.list("")) == ["a", "a-", "a/"]
    assert list(other.list("a")) == ["a/b", "a/b/"]


@pytest.mark.parametrize("prefix", ["", "missing", "missing/deeper"])
def test_an_empty_store_lists_nothing(driver: CheckedDriver, prefix: str) -> None:
    """Nothing is yielded where nothing is; that is no error (L3)."""
    assert list(driver.list(prefix)) == []


@pytest.mark.parametrize("prefix", ["a/b", "a/b/c", "a/bb", "A"])
def test_what_has_nothing_below_it_lists_nothing(driver: CheckedDriver, prefix: str) -> None:
    """A key does not list itself, nor its neighbours of similar name (L3)."""
    driver.put("a/b", b"1")
    driver.put("a/bc", b"1")
    assert list(driver.list(prefix)) == []


def test_changes_during_a_listing_take_away_nothing_that_stays(driver: CheckedDriver, other: CheckedDriver) -> None:
    """What is there from beginning to end is yielded once, whatever comes and goes meanwhile (L4)."""
    for number in range(60):
        driver.put(f"a/{number:03}", b"1")
    stays = [f"a/{number:03}" for number in range(0, 60, 2)]
    listing = other.list("a")
    seen = list(itertools.islice(listing, 3))
    for number in range(1, 60, 2):
        driver.delete(f"a/{number:03}")
        driver.put(f"a/{number:03}.new", b"1")
    seen += listing
    assert seen == sorted(set(seen))
    assert [key for key in seen if key in set(stays)] == stays


def test_listings_run_side_by_side(driver: CheckedDriver) -> None:
    """A listing is a handle of its own; one may be left half way (L4, T2)."""
    for key in ("a", "b", "c"):
        driver.put(key, b"1")
    first, second = driver.list(""), driver.list("")
    assert [next(first), next(second), next(first)] == ["a", "a", "b"]
    del first
    assert list(second) == ["b", "c"]


@pytest.mark.parametrize("target", ["b", "below/some/prefix", "old"])
def test_a_move_takes_the_bytes_along(driver: CheckedDriver, other: CheckedDriver, target: str) -> None:
    """The target, new or not, holds the source's bytes, and the source with its prefix is gone (M1)."""
    driver.put("old", b"a longer old object")
    driver.put("a/source", b"bytes")
    driver.move("a/source", target)
    assert (other.get(target, 99), other.stat(target).size) == (b"bytes", 5)
    assert other.find("a/source") is None
    assert list(other.list("a")) == []


def test_a_move_takes_only_what_is_published(driver: CheckedDriver, other: CheckedDriver) -> None:
    """What the source's writer has not flushed stays behind (M1)."""
    writer = driver.open_writer("a")
    writer.write(b"flushed")
    writer.flush()
    writer.write(b" and not")
    other.move("a", "b")
    writer.discard()
    assert other.get("b", 99) == b"flushed"


def test_a_move_leaves_what_lies_below_the_source(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A move is of one object: keys below the source stay where they are (M1, C2)."""
    if not driver.capabilities.nested_keys:
        pytest.skip("the driver does not declare nested_keys")
    driver.put("a", b"1")
    driver.put("a/b", b"2")
    driver.move("a", "c")
    assert (other.get("c", 9), other.get("a/b", 9)) == (b"1", b"2")
    assert list(other.list("")) == ["a/", "c"]


@pytest.mark.parametrize("source", ["missing", "a"], ids=["nothing", "a prefix"])
def test_a_move_of_nothing_leaves_the_target(driver: CheckedDriver, other: CheckedDriver, source: str) -> None:
    """Without a source there is no move, and the target is as it was (M3, E4)."""
    driver.put("target", b"old")
    driver.put("a/b", b"1")
    version = driver.stat("target").version
    with pytest.raises(PathNotFoundError):
        driver.move(source, "target")
    assert (other.get("target", 9), other.stat("target").version) == (b"old", version)


def test_a_move_at_the_right_version_happens(driver: CheckedDriver, other: CheckedDriver) -> None:
    """The version may be a stat's or a flushed writer's (M4, S2)."""
    with driver.open_writer("a") as writer:
        writer.write(b"1")
    assert writer.version is not None
    driver.move("a", "b", version=writer.version)
    driver.move("b", "c", version=other.stat("b").version)
    assert other.get("c", 9) == b"1"


def test_a_move_at_a_wrong_version_changes_nothing(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A source that has changed since is not moved, and its writer is not fenced (M4, E4)."""
    driver.put("a", b"old")
    version = driver.stat("a").version
    driver.put("target", b"target")
    writer = driver.open_writer("a")
    writer.write(b" and new")
    writer.flush()
    with pytest.raises(FencedError):
        driver.move("a", "target", version=version)
    writer.close()
    assert (other.get("a", 99), other.get("target", 99)) == (b"old and new", b"target")


def test_a_move_and_back_makes_a_new_version(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A target that is replaced has another version than before (S2, M1)."""
    driver.put("a", b"1")
    driver.put("b", b"2")
    versions = [other.stat("b").version]
    driver.move("a", "b")
    versions.append(other.stat("b").version)
    driver.put("b", b"3")
    versions.append(other.stat("b").version)
    assert len(set(versions)) == 3


def test_a_moved_object_can_be_written_on(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A target is an object as any other, and a new one may come under the source's name (M1)."""
    driver.put("a", b"one")
    driver.move("a", "b")
    for key in ("a", "b"):
        with driver.open_writer(key) as writer:
            writer.write(b" two")
    assert (other.get("a", 9), other.get("b", 9)) == (b" two", b"one two")


def test_a_delete_takes_the_key_and_all_below_it(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Everything below the key is deleted, and nothing that only begins like it (D1)."""
    for key in TREE:
        driver.put(key, b"1")
    driver.delete("a")
    assert list(other.list("")) == ["Z", "a+", "a-b/", "a.b", "a0", "a_", "aa/", "b"]
    driver.delete("a-b/x")
    driver.delete("b")
    assert list(other.list("")) == ["Z", "a+", "a.b", "a0", "a_", "aa/"]


def test_a_delete_takes_a_key_and_its_prefix_together(driver: CheckedDriver, other: CheckedDriver) -> None:
    """With nested_keys both the object and what lies below go (D1, C2)."""
    if not driver.capabilities.nested_keys:
        pytest.skip("the driver does not declare nested_keys")
    for key in ("a", "a/b", "a/b/c", "a-"):
        driver.put(key, b"1")
    driver.delete("a/b")
    assert list(other.list("")) == ["a", "a-"]
    driver.delete("a")
    assert list(other.list("")) == ["a-"]


@pytest.mark.parametrize("key", ["missing", "missing/deeper", "a/b/c"], ids=["missing", "deeper", "below an object"])
def test_a_delete_of_nothing_is_no_error(driver: CheckedDriver, other: CheckedDriver, key: str) -> None:
    """What is not there can be deleted, again and again, and nothing else goes with it (D2)."""
    driver.put("a/b", b"1")
    driver.delete(key)
    driver.delete(key)
    assert list(other.list("a")) == ["a/b"]


def test_a_deleted_object_can_be_made_anew(driver: CheckedDriver, other: CheckedDriver) -> None:
    """After a delete the key opens as a new object, with nothing of the old (D1, W1)."""
    driver.put("a", b"a long old object")
    driver.delete("a")
    with driver.open_writer("a") as writer:
        assert (writer.size, writer.version) == (0, None)
        writer.seek(2)
        writer.write(b"x")
    assert other.get("a", 99) == b"\0\0x"
