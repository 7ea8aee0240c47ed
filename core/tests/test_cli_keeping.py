"""``layerstore uploads purge``, ``scrub`` and ``gc``: for whoever runs a store, and for their timers."""

from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore.cli.moment import moment, span
from layerstore.cli.program import program
from layerstore.cli.signals import Stopped
from layerstore.upkeep.scrub import ScrubReport
from layerstore_conformance.kit.layers import begin, blob, link
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import digest

if TYPE_CHECKING:
    from tests.conftest import Strewn

BODIES = (b"one", b"two", b"three")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> LayerService:
    """A store of the test's own with three layers, where the program finds it, by the side door."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("LAYERSTORE_URL", url)
    store = layerstore.open(url)
    for body in BODIES:
        store_layer(store, "a", body)
    return store


def run(*arguments: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, arguments)


def lines(result: Result) -> list[list[str]]:
    """Return the cells of what is on stdout."""
    return [line.split("\t") for line in result.stdout.splitlines()]


class Failing(PassingDriver):
    """Refuses to delete and to move."""

    def delete(self, key: str) -> None:
        """Refuse."""
        raise layerstore.AccessDeniedError(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Refuse."""
        raise layerstore.AccessDeniedError(source)


@pytest.fixture
def failing(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> LayerService:
    """The same store, which the program cannot delete from."""
    driver = CheckedDriver(Failing(store.driver))
    monkeypatch.setattr(layerstore, "open", lambda url, **options: LayerService(driver))
    return store


def test_purge_removes_what_is_old(store: LayerService) -> None:
    """A line for each upload removed on stdout, the sum on stderr."""
    upload = begin(store, "a", b"abc")
    result = run("uploads", "purge", "--older-than", "0s")
    assert result.exit_code == 0
    ((outcome, found, repository, offset, age, reason),) = lines(result)
    assert (outcome, found, repository, offset, reason) == ("removed", upload, "a", "3", "")
    assert int(age) < 60
    assert result.stderr == "layerstore: removed 1; 0 too young, 0 skipped, 0 failed\n"
    assert list(store.uploads()) == []


def test_purge_keeps_what_is_young(store: LayerService) -> None:
    """It is counted, and not listed."""
    begin(store, "a", b"abc")
    result = run("uploads", "purge", "--older-than", "7d")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 too young" in result.stderr
    assert len(list(store.uploads())) == 1


def test_purge_of_one_repository(store: LayerService) -> None:
    """``--repo`` touches no other."""
    begin(store, "a", b"abc")
    begin(store, "b", b"abc")
    run("uploads", "purge", "--older-than", "0s", "--repo", "a")
    assert [info.name for info in store.uploads()] == ["b"]


def test_a_dry_purge_removes_nothing(store: LayerService) -> None:
    """It lists what would be removed."""
    upload = begin(store, "a", b"abc")
    result = run("uploads", "purge", "--older-than", "0s", "--dry-run")
    assert [line[:2] for line in lines(result)] == [["would-remove", upload]]
    assert result.stderr.startswith("layerstore: would remove 1;")
    assert len(list(store.uploads())) == 1


def test_purge_as_json(store: LayerService) -> None:
    """One object per line; what is no upload has a reason and no age."""
    upload = begin(store, "a", b"abc")
    store.driver.put(f"{layout.uploads('a')}/x.tmp", b"")
    result = run("uploads", "purge", "--older-than", "0s", "--json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert isinstance(first.pop("age"), int)
    assert first == {"outcome": "removed", "uuid": upload, "repository": "a", "offset": 3, "reason": ""}
    assert (second["outcome"], second["uuid"], second["age"]) == ("skipped", "x.tmp", None)
    event = {"event": "purged", "dry_run": False, "removed": 1, "kept": 0, "skipped": 1, "failed": 0}
    assert json.loads(result.stderr) == event


def test_what_purge_cannot_remove_is_an_error(failing: LayerService) -> None:
    """It is listed with the reason, and the exit status tells."""
    upload = begin(failing, "a", b"abc")
    result = run("uploads", "purge", "--older-than", "0s")
    assert (result.exit_code, [line[:2] for line in lines(result)]) == (1, [["failed", upload]])
    assert "access denied" in lines(result)[0][5]
    assert result.stderr.endswith("layerstore: error: 1 could not be removed\n")


def test_purge_must_be_told_an_age() -> None:
    """There is no default that would fit all."""
    assert run("uploads", "purge").exit_code == 2


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_store_in_order_scrubs_quietly(store: LayerService, jobs: str) -> None:
    """Nothing on stdout, and the sum on stderr."""
    result = run("scrub", "--jobs", jobs)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "layerstore: 3 blobs of 11 bytes are in order; 0 findings of harm, 0 without\n"


def test_scrub_lists_what_is_damaged(store: LayerService) -> None:
    """With what it is instead; the exit status tells."""
    store.driver.put(blob(b"one"), b"eno")
    result = run("scrub")
    row = ["damaged", digest(b"one"), "3", blob(b"one"), f"is {digest(b'eno')}"]
    assert (result.exit_code, lines(result)) == (1, [row])
    assert result.stderr.endswith("layerstore: error: 1 findings of harm\n")


def test_what_lies_about_is_no_failure(store: LayerService) -> None:
    """It is listed, with a status of 0."""
    store.unlink("a", digest(b"one"))
    result = run("scrub")
    assert (result.exit_code, [line[0] for line in lines(result)]) == (0, ["unlinked"])


def test_scrub_moves_into_quarantine(store: LayerService) -> None:
    """It says where to, and a second time there is a link without a blob."""
    store.driver.put(blob(b"one"), b"eno")
    (row,) = lines(run("scrub", "--quarantine"))
    assert f", moved to {layout.QUARANTINE}/{digest(b'one')[7:]}/" in row[4]
    assert [line[0] for line in lines(run("scrub"))] == ["missing"]


def test_scrub_as_json(store: LayerService) -> None:
    """One object per line."""
    store.driver.put(link("a", digest(b"one")), b"garbage")
    result = run("scrub", "--json")
    damaged, unlinked = (json.loads(line) for line in result.stdout.splitlines())
    assert (damaged["finding"], damaged["key"]) == ("damaged-link", link("a", digest(b"one")))
    about = {"digest": digest(b"one"), "size": 3, "key": blob(b"one"), "detail": ""}
    assert unlinked == {"finding": "unlinked", **about}
    event = json.loads(result.stderr.splitlines()[0])
    assert event == {"event": "scrubbed", "ok": 3, "bytes": 11, "harm": 1, "other": 1}


def test_scrub_of_one_repository_since(store: LayerService) -> None:
    """``--repo`` and ``--since`` leave out the rest."""
    store.driver.put(blob(b"one"), b"eno")
    assert run("scrub", "--repo", "b").exit_code == 0
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    assert run("scrub", "--since", later).exit_code == 0
    assert run("scrub", "--since", "1h").exit_code == 1


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have a signal arrive after so many findings."""
    real = ScrubReport.add

    def add(self: ScrubReport, finding: layerstore.Finding) -> None:
        real(self, finding)
        if self.ok + len(self.findings) == number:
            raise Stopped(2)

    monkeypatch.setattr(ScrubReport, "add", add)


@pytest.mark.usefixtures("store")
def test_an_interrupted_scrub_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same options, after the last blob read; what it says goes on there."""
    last = sorted(digest(body)[7:] for body in BODIES)[1]
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        result = run("scrub", "--repo", "a", "--jobs", "2", "--quarantine", "--since", "2026-01-02T03:04:05Z")
    options = "--repo a --jobs 2 --since 2026-01-02T03:04:05.000Z --quarantine"
    hint = f"go on with: layerstore scrub {options} --after {last}\n"
    assert (result.exit_code, result.stderr) == (130, f"layerstore: error: interrupted by SIGINT\n{hint}")
    assert "1 blobs of" in run(*hint.split()[4:]).stderr


def test_a_scrub_that_fails_before_any_blob_has_nowhere_to_go_on(store: LayerService) -> None:
    """The error is all."""
    result = run("scrub", "--repo", "A")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert run("scrub", "--after", "x").exit_code == 1


class Terminal(io.StringIO):
    """Somebody looks."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_what_was_found_before_an_interruption_is_shown(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the table comes at the end: also at this one."""
    store.driver.put(blob(b"one"), b"eno")
    stop_at(monkeypatch, 3)
    shown: list[list[str]] = []
    monkeypatch.setattr("layerstore.cli.listing.sys", SimpleNamespace(stdout=Terminal()))
    monkeypatch.setattr("layerstore.cli.listing._draw", lambda columns, rows: shown.extend(rows))
    result = run("scrub")
    assert (result.exit_code, [row[0] for row in shown]) == (130, ["damaged"])


def test_gc_deletes_what_nothing_links(store: LayerService) -> None:
    """A line for each blob on stdout, the sum on stderr."""
    store.unlink("a", digest(b"one"))
    result = run("gc", "--grace", "0s")
    assert (result.exit_code, lines(result)) == (0, [["deleted", digest(b"one"), "3", ""]])
    text = "1 blobs of 3 bytes deleted, 0 failed; 2 in use, 0 since it began, 0 too young"
    assert result.stderr == f"layerstore: {text}\n"
    assert store.driver.find(blob(b"one")) is None


def test_gc_leaves_what_is_young(store: LayerService) -> None:
    """For an hour, if nobody says else."""
    store.unlink("a", digest(b"one"))
    result = run("gc")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith(" 1 too young\n")


def test_a_dry_gc_deletes_nothing(store: LayerService) -> None:
    """It lists what would be deleted; as JSON, one object per line."""
    store.unlink("a", digest(b"one"))
    result = run("gc", "--grace", "0s", "--dry-run", "--json")
    told = {"outcome": "would-delete", "digest": digest(b"one"), "size": 3, "reason": ""}
    assert json.loads(result.stdout) == told
    event = json.loads(result.stderr)
    assert (event["event"], event["dry_run"], event["deleted"], event["bytes"]) == ("collected", True, 1, 3)
    assert store.driver.find(blob(b"one")) is not None


def test_gc_stops_where_a_link_is_damaged(store: LayerService) -> None:
    """One line, which names the link."""
    store.driver.put(link("a", digest(b"one")), b"garbage")
    result = run("gc")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was deleted" in result.stderr
    assert link("a", digest(b"one")) in result.stderr


def test_what_gc_cannot_delete_is_an_error(failing: LayerService) -> None:
    """It is listed with the reason, and the exit status tells."""
    failing.unlink("a", digest(b"one"))
    result = run("gc", "--grace", "0s")
    assert (result.exit_code, [line[:2] for line in lines(result)]) == (1, [["failed", digest(b"one")]])
    assert result.stderr.endswith("layerstore: error: 1 could not be deleted\n")


@pytest.fixture
def images(store: LayerService) -> LayerService:
    """The store, with an image of one of its layers, and a repository that is not understood."""
    data = json.dumps({"schemaVersion": 2, "config": {"digest": digest(b"one")}, "layers": []}).encode()
    for name, text in (("a", data), ("odd", b"{}")):
        store.driver.put(layout.blob(layerstore.Digest.of(text)), text)
        store.driver.put(layout.revision(name, layerstore.Digest.of(text)), digest(text).encode())
    return store


REASON = "a manifest whose schemaVersion is not 2"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_gc_drops_what_no_manifest_refers_to_if_told_to(images: LayerService, options: tuple[str, ...]) -> None:
    """A line for each link, then for each repository that was skipped, then for each blob."""
    would, verb = ("would-", "would be deleted") if options else ("", "deleted")
    result = run("gc", "--unreferenced", "--grace", "0s", *options)
    gone = sorted((digest(body), str(len(body))) for body in (b"two", b"three"))
    expected = [[f"{would}unlink" + ("" if would else "ed"), wanted, "0", "layer of a"] for wanted, _ in gone]
    expected += [["skipped", "", "0", f"odd: manifest {digest(b'{}')}: {REASON}"]]
    expected += [["would-delete" if would else "deleted", wanted, size, ""] for wanted, size in gone]
    assert (result.exit_code, lines(result)) == (0, expected)
    assert f"2 blobs of 8 bytes {verb}" in result.stderr
    assert result.stderr.endswith("; 2 links dropped; 1 repositories skipped\n")


def test_what_gc_drops_is_in_the_event(images: LayerService) -> None:
    """As JSON; without a grace of one's own, nothing is a day old."""
    event = json.loads(run("gc", "--unreferenced", "--untagged", "--grace", "0s", "--json").stderr)
    assert (event["unlinked"], event["skipped"], event["deleted"]) == (4, 1, 4)
    assert run("gc", "--unreferenced").stdout.startswith("skipped")


def test_untagged_without_unreferenced_is_an_error() -> None:
    """Nothing is done."""
    result = run("gc", "--untagged")
    assert (result.exit_code, "--untagged goes with --unreferenced" in result.stderr) == (2, True)


def test_a_link_that_gc_cannot_drop_is_an_error(failing: LayerService) -> None:
    """It is listed with the reason."""
    result = run("gc", "--unreferenced", "--grace", "0s")
    assert (result.exit_code, [line[0] for line in lines(result)]) == (1, ["failed"] * 3)
    assert [line[3].partition(":")[0] for line in lines(result)] == ["layer of a"] * 3


@pytest.fixture
def littered(store: LayerService, strewn: Strewn, monkeypatch: pytest.MonkeyPatch) -> Strewn:
    """The same store, in which the program comes upon two symlinks; a blob has no link."""
    store.unlink("a", digest(b"one"))
    begin(store, "a", b"begun")
    strewn.inner = store.driver
    strewn.leave(layout.REPOSITORIES, "demo")
    strewn.leave(layout.uploads("a"), "old")
    driver = CheckedDriver(strewn)
    monkeypatch.setattr(layerstore, "open", lambda url, **options: LayerService(driver))
    return strewn


@pytest.mark.usefixtures("littered")
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_gc_stops_where_it_does_not_understand(store: LayerService, options: tuple[str, ...]) -> None:
    """It names the thing and what it is, and says how to find all such; nothing is deleted."""
    result = run("gc", "--grace", "0s", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    why = f"'{layout.REPOSITORIES}/demo': not understood: a symlink"
    first, hint = result.stderr.splitlines()
    assert first == f"layerstore: error: cannot tell which blobs are in use, nothing was deleted: {why}"
    assert hint == "all that is in the way: layerstore scrub"
    assert store.driver.find(blob(b"one")) is not None


@pytest.mark.usefixtures("littered")
def test_gc_goes_on_without_what_it_does_not_understand_if_told_to(store: LayerService) -> None:
    """Each thing ignored is a line, and the sum counts them."""
    result = run("gc", "--grace", "0s", "--ignore-foreign")
    ignored = [
        ["ignored", "", "0", f"{name}: not understood: a symlink"]
        for name in (f"{layout.REPOSITORIES}/demo", f"{layout.uploads('a')}/old")
    ]
    assert (result.exit_code, lines(result)) == (0, [["deleted", digest(b"one"), "3", ""], *ignored])
    assert result.stderr.endswith(" 0 too young; 2 not understood, and ignored\n")
    assert store.driver.find(blob(b"one")) is None


@pytest.mark.usefixtures("littered")
def test_what_gc_ignores_as_json() -> None:
    """One object per thing, and their number in the event; the same of a dry run."""
    result = run("gc", "--grace", "0s", "--ignore-foreign", "--dry-run", "--json")
    _, first, _ = (json.loads(line) for line in result.stdout.splitlines())
    reason = f"{layout.REPOSITORIES}/demo: not understood: a symlink"
    assert first == {"outcome": "ignored", "digest": "", "size": 0, "reason": reason}
    assert json.loads(result.stderr)["ignored"] == 2


@pytest.mark.usefixtures("littered")
def test_scrub_calls_what_it_does_not_understand_harm() -> None:
    """Each is listed, and the exit status tells; no blob is said to be without a link."""
    result = run("scrub")
    assert (result.exit_code, [line[0] for line in lines(result)]) == (1, ["unreadable", "unreadable"])
    assert lines(result)[0][3:] == [f"{layout.REPOSITORIES}/demo", "not understood: a symlink"]


@pytest.mark.usefixtures("littered")
def test_purge_skips_what_it_does_not_understand() -> None:
    """That is no failure."""
    result = run("uploads", "purge", "--older-than", "7d")
    assert (result.exit_code, [line[:3] for line in lines(result)]) == (
        0,
        [["skipped", "", "demo"], ["skipped", "old", "a"]],
    )
    assert {line[5] for line in lines(result)} == {"not understood: a symlink"}


@pytest.mark.usefixtures("littered")
@pytest.mark.parametrize(("command", "more"), [(("layers",), ""), (("uploads", "list"), ", and 1 more")])
def test_a_listing_says_once_what_it_passed_over(command: tuple[str, ...], more: str) -> None:
    """On stderr, as a warning; the exit status stays 0."""
    result = run(*command)
    message = f"passed over {layout.REPOSITORIES}/demo, not understood: a symlink{more}; scrub lists all"
    assert (result.exit_code, result.stderr) == (0, f"layerstore: warning: {message}\n")
    event = json.loads(run(*command, "--json").stderr)
    assert event == {"event": "warning", "message": message}


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800), ("2w", 1209600)]
)
def test_a_span_of_time(text: str, seconds: int) -> None:
    """A number and a unit."""
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 d", "1.5d", "7y", "\u0667d", "999999999w", "9999999999s"])
def test_what_is_no_span_of_time(text: str) -> None:
    """Anything else makes no sense."""
    with pytest.raises(click.BadParameter, match="not a span of time"):
        span(text)


def test_a_moment() -> None:
    """RFC 3339, or how long ago; before the first year, the first moment there is."""
    assert moment("2026-07-01T02:00:00+02:00") == datetime(2026, 7, 1, tzinfo=UTC)
    assert datetime.now(UTC) - moment("7d") - timedelta(days=7) < timedelta(minutes=1)
    assert moment("9999999d") == datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "2026-07-01T00:00:00", "yesterday", "-7d", "999999999w"])
def test_what_is_no_moment(text: str) -> None:
    """A time without a zone is nobody's in particular."""
    with pytest.raises(click.BadParameter, match=r"not a time|not a span"):
        moment(text)
