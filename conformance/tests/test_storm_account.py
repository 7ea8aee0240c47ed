"""The account of a storm: what was acknowledged and is not there is found, and what may lawfully be gone is not."""

from math import inf
from pathlib import Path
from typing import Any

import pytest

from layerstore import LayerService, layout, open_driver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.storm import journal
from layerstore_conformance.storm.account import Account, bytes_that_differ, clean
from layerstore_conformance.storm.journal import Journal, Operation
from layerstore_conformance.storm.storm import story
from layerstore_conformance.storm.violation import Violation

DATA = b"the bytes of a layer"
WANTED = digest(DATA)
LAYER = ("a/b", WANTED)


def operation(do: str, begun: float, ended: float = inf, **fields: Any) -> Operation:  # noqa: ANN401  (a journal's)
    """Make an operation that was done, or, without an end, cut off."""
    how = fields.pop("how", "cut off" if ended == inf else "done")
    told = fields.pop("told", {})
    return Operation("worker-1", int(begun), do, begun, fields, how, ended, told)


def refused(do: str, begun: float, error: str, **asked: object) -> Operation:
    """Make an operation that was refused."""
    return operation(do, begun, begun + 1, how="refused", told={"error": error}, **asked)


FINISH = operation("finish", 1, 2, name="a/b", digest=WANTED, uuid="u")
MOUNT = operation("mount", 1, 2, name="a/b", digest=WANTED)
EXPLAINED = {
    "unlinked later": [FINISH, operation("unlink", 3, 4, name="a/b", digest=WANTED)],
    "unlinked meanwhile": [FINISH, operation("unlink", 0.5, 1.5, name="a/b", digest=WANTED)],
    "an unlink was cut off": [MOUNT, operation("unlink", 0.1, name="a/b", digest=WANTED)],
    "an unlink was interrupted": [MOUNT, operation("unlink", 0.1, inf, how="interrupted", name="a/b", digest=WANTED)],
    "an unlink's answer was lost": [FINISH, refused("unlink", 3, "BackendUnavailableError", name="a/b", digest=WANTED)],
    "the finish was cut off": [operation("finish", 1, name="a/b", digest=WANTED)],
    "the finish was refused": [refused("finish", 1, "FencedError", name="a/b", digest=WANTED)],
}
UNEXPLAINED = {
    "finished": [FINISH],
    "mounted": [MOUNT],
    "unlinked before": [operation("unlink", 0.1, 0.9, name="a/b", digest=WANTED), FINISH],
    "unlinked between": [
        FINISH,
        operation("unlink", 3, 4, name="a/b", digest=WANTED),
        operation("mount", 5, 6, **MOUNT.asked),
    ],
    "unlinked elsewhere": [FINISH, operation("unlink", 3, 4, name="a", digest=WANTED)],
    "there was nothing to unlink": [FINISH, refused("unlink", 3, "UnknownLayerError", name="a/b", digest=WANTED)],
    "finished, and not found": [refused("finish", 1, "UnknownLayerError", name="a/b", digest=WANTED)],
    "collected": [FINISH, operation("gc", 3, 4, told={"removed": [WANTED], "failed": []})],
}


@pytest.mark.parametrize("operations", EXPLAINED.values(), ids=EXPLAINED)
def test_a_layer_that_may_have_been_unlinked_may_be_gone(operations: list[Operation]) -> None:
    """An unlink that can have come after the finish explains that the layer is gone."""
    assert list(Account(operations).layers(set())) == []


@pytest.mark.parametrize("operations", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_layer_that_was_acknowledged_must_be_there(operations: list[Operation]) -> None:
    """Nothing but an unlink explains that a layer is gone."""
    (found,) = Account(operations).layers(set())
    assert (found.kind, found.subjects) == ("lost", (WANTED,))
    assert list(Account(operations).layers({LAYER})) == []


def test_a_layer_of_an_earlier_round_must_be_there() -> None:
    """A kept layer is promised without an operation of this round."""
    assert [found.kind for found in Account([], {LAYER}).layers(set())] == ["lost"]
    assert list(Account([operation("unlink", 1, 2, name="a/b", digest=WANTED)], {LAYER}).layers(set())) == []


def test_a_layer_that_nobody_finished_must_not_be_visible() -> None:
    """Every visible layer was finished, mounted or kept."""
    assert [found.kind for found in Account([]).layers({LAYER})] == ["unasked"]
    assert list(Account([operation("finish", 1, **MOUNT.asked)]).layers({LAYER})) == []


FLUSHED = operation("flush", 1, 2, uuid="u", size=7, content=WANTED)


@pytest.mark.parametrize(
    ("ending", "kinds"),
    [
        ([], ["lost"]),
        ([operation("finish", 3, name="a/b", digest=WANTED, uuid="u")], []),
        ([operation("cancel", 3, 4, uuid="u")], []),
        ([refused("cancel", 3, "UnknownUploadError", uuid="u")], ["lost"]),
        ([operation("purge", 3, 4, told={"removed": ["u"], "failed": []})], []),
        ([operation("purge", 3, 4, told={"removed": ["v"], "failed": []})], ["lost"]),
        ([operation("purge", 3)], []),
    ],
)
def test_an_upload_that_nobody_ended_must_be_there(ending: list[Operation], kinds: list[str]) -> None:
    """A flushed upload is there, unless a finish, a cancel or a purge may have removed it."""
    assert [found.kind for found in Account([FLUSHED, *ending]).uploads_now({})] == kinds


def test_an_offset_never_goes_back() -> None:
    """A listing or resume that began after an acknowledged flush has at least its size."""
    assert [found.kind for found in Account([FLUSHED]).uploads_now({"u": 6})] == ["went back"]
    assert list(Account([FLUSHED]).uploads_now({"u": 7})) == []
    late = [
        operation("uploads", 3, 4, told={"offsets": {"u": 6}}),
        operation("resume", 3, 4, uuid="u", told={"offset": 6}),
    ]
    early = [operation("uploads", 1.5, 4, told={"offsets": {"u": 6}})]
    assert [found.kind for found in Account([FLUSHED, *late]).history()] == ["went back"] * 2
    assert list(Account([FLUSHED, *early]).history()) == []


def test_a_resumed_upload_holds_what_somebody_flushed() -> None:
    """Bytes of two writers, or of half a write, are found at once."""
    seen = operation("resume", 3, 4, uuid="u", told={"offset": 7, "content": digest(b"others")})
    assert [found.kind for found in Account([FLUSHED, seen]).history()] == ["mixed"]
    same = operation("resume", 3, 4, uuid="u", told={"offset": 7, "content": WANTED})
    assert list(Account([FLUSHED, same]).history()) == []


def test_a_finish_is_refused_for_other_bytes_only_where_another_has_written_them() -> None:
    """A worker that alone had the upload wrote its bytes; "finish again" tries digests of other workers."""
    wrong = refused("finish", 3, "LayerInvalidDigestError", name="a/b", digest=WANTED, uuid="u")
    other = Operation("worker-2", 1, "resume", 2.0, {"uuid": "u"})
    late = Operation("worker-2", 1, "resume", 5.0, {"uuid": "u"})
    again = refused("finish again", 3, "LayerInvalidDigestError", name="a/b", digest=WANTED, uuid="u")
    assert [found.kind for found in Account([wrong]).history()] == ["other bytes"]
    assert [found.kind for found in Account([wrong, late]).history()] == ["other bytes"]
    assert list(Account([wrong, other]).history()) == list(Account([again]).history()) == []


@pytest.fixture
def service() -> LayerService:
    """Open a store with one layer."""
    service = LayerService(open_driver("memory:"))
    upload = service.upload("a/b")
    upload.write(DATA)
    upload.finish(WANTED)
    return service


def test_a_good_store_has_nothing_against_it(service: LayerService) -> None:
    """The account of a finish that is there is clear, and says what is there."""
    assert Account([FINISH]).check(service) == ([], {LAYER})


def test_a_damaged_layer_is_found(service: LayerService) -> None:
    """Every visible layer and every blob is hashed."""
    blob = layout.blob(next(service.layers()).digest)
    service.driver.put(blob, b"others")
    assert [found.kind for found in bytes_that_differ(service)] == ["damaged", "damaged"]
    service.unlink("a/b", WANTED)
    assert [found.kind for found in bytes_that_differ(service)] == ["damaged"]


def test_what_a_purge_and_a_collection_leave_is_found(service: LayerService) -> None:
    """After both nothing but layers is left."""
    assert list(clean(service)) == []
    service.driver.put(f"{layout.REPOSITORIES}/a/b/_uploads/no-uuid/data", b"")
    assert {found.kind for found in clean(service)} == {"leftover", "scrub"}


def test_a_cleaning_that_takes_a_layer_is_found(service: LayerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Purge and gc, alone, change no layer."""
    monkeypatch.setattr(LayerService, "purge", lambda self, *_, **__: self.unlink("a/b", WANTED) or Report())
    found, after = Account([FINISH]).check(service)
    assert ([each.kind for each in found], after) == (["lost"], set())


class Report:
    """Nothing to report."""

    failed = skipped = kept = ()


def test_a_journal_tells_what_was_done_and_what_was_cut_off(tmp_path: Path) -> None:
    """Both lines of an operation become one; without the second, or with half of it, nobody knows."""
    one = Journal(tmp_path / "worker-1.journal")
    one.begin("finish", {"digest": WANTED})
    one.end("done", {"size": 1})
    one.begin("unlink", {"digest": WANTED})
    with (tmp_path / "worker-1.journal").open("a") as file:
        file.write('{"number": 2, "how": "do')
    found = journal.read(tmp_path.glob("*.journal"))
    assert [(each.worker, each.do, each.how) for each in found] == [
        ("worker-1", "finish", "done"),
        ("worker-1", "unlink", "cut off"),
    ]
    assert found[0].begun < found[0].ended < found[1].begun < found[1].ended == inf


def test_the_effect_of_an_interrupted_operation_may_yet_come(tmp_path: Path) -> None:
    """An interrupt ends the call, and says nothing of its effect."""
    one = Journal(tmp_path / "worker-1.journal")
    one.begin("unlink", {})
    one.end("interrupted", {})
    assert [each.ended for each in journal.read(tmp_path.glob("*.journal"))] == [inf]


def test_a_story_tells_what_befell_the_subject() -> None:
    """Operations on it, in order, and the signals to their workers; nothing else."""
    other = Operation("worker-2", 1, "fetch", 2.0, {"digest": digest(b"others")})
    strikes = [(1_500_000_001, "worker-1: kill"), (1_500_000_002, "worker-2: kill")]
    told = story(Violation("lost", "it is gone", (WANTED,)), [FINISH, other], strikes)
    assert [line.split(maxsplit=1)[1].partition(" name")[0] for line in told] == [
        "worker-1 #1 finish",
        "worker-1: kill",
    ]
