"""The S3 driver and a service as strict as AWS: requests counted, and requests and answers lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import pytest

from layerstore import LayerService
from layerstore.checked import CheckedDriver
from layerstore.driver import Driver
from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.objectstore import Limits
from layerstore_drivers.s3.driver import S3Driver
from layerstore_drivers.s3.service import S3Service

if TYPE_CHECKING:
    from tests.s3_strict import FAULTS, LEAST, Answer, Asked, StrictS3
else:  # as pytest finds it
    from s3_strict import FAULTS, LEAST, Answer, Asked, StrictS3

DATA = bytes(range(256)) * 44
"""Three pieces."""

PIECE = str(5 << 10)


@contextmanager
def small_parts() -> Iterator[None]:
    """Have pieces of a few kilobytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Service, "limits", Limits(least_part=LEAST, most_copied=1 << 30))
        yield


@pytest.fixture(scope="module", autouse=True)
def _small_parts() -> Iterator[None]:
    with small_parts():
        yield


@pytest.fixture
def strict() -> StrictS3:
    """Return a service of the test's own."""
    return StrictS3()


@pytest.fixture
def driver(strict: StrictS3) -> S3Driver:
    """Open a store in it that has been written to."""
    driver = strict.driver(block_size=PIECE, concurrency="1")
    driver.put("probed", b"")
    driver.delete("probed")
    return driver


def write(driver: Driver, key: str, data: bytes) -> None:
    """Append and flush."""
    with driver.open_writer(key) as writer:
        writer.write(data)


def read(driver: Driver, key: str) -> bytes:
    """Read an object whole."""
    with driver.open_reader(key) as reader:
        return reader.readall()


def finishing(strict: StrictS3, driver: Driver, data: bytes) -> list[str]:
    """Upload a layer, and return the requests that its finish makes."""
    upload = LayerService(CheckedDriver(driver, "s3")).upload("demo")
    upload.write(data)
    return strict.asked(lambda: upload.finish(f"sha256:{sha256(data).hexdigest()}"))


def test_a_small_layer_is_two_puts_and_a_look(strict: StrictS3, driver: S3Driver) -> None:
    """The blob, the link, and the look whether a collection came in between."""
    assert finishing(strict, driver, b"small") == ["PUT", "PUT", "GET"]


def test_a_layer_of_one_piece_is_finished_by_one_copy(strict: StrictS3, driver: S3Driver) -> None:
    """Piece, head, claim, copy, head gone, piece gone, link, look."""
    driver = strict.driver(block_size=str(8 << 20))
    driver.put("probed", b"")
    driver.delete("probed")
    asked = finishing(strict, driver, bytes(3 << 20))
    assert asked == ["PUT", "PUT", "PUT", "PUT copy", "DELETE", "DELETE", "PUT", "GET"]
    assert sorted(name.rpartition("/")[2] for name in strict.objects) == ["data", "link"]


def test_a_layer_of_several_pieces_is_composed_without_its_bytes(strict: StrictS3, driver: S3Driver) -> None:
    """A copy takes two requests more, and one for each piece; no byte comes back."""
    driver = strict.driver(block_size=str(1 << 20), concurrency="1")
    driver.put("probed", b"")
    asked = finishing(strict, driver, bytes(7 << 19))
    composed = ["POST uploads", *["PUT uploadId copy"] * 4, "POST uploadId"]
    assert asked[-12:] == ["PUT", "PUT", *composed, "DELETE", "POST delete", "PUT", "GET"]
    assert not strict.uploads


def test_a_stat_is_one_request(strict: StrictS3, driver: S3Driver) -> None:
    """Of an object as it is, and of one in pieces."""
    driver.put("a", b"data")
    write(driver, "b", DATA)
    for key in ("a", "b"):
        assert strict.asked(lambda key=key: driver.stat(key)) == ["GET"]  # type: ignore[misc]  # a lambda with a default


def test_an_object_of_no_bytes_takes_a_second_look(strict: StrictS3, driver: S3Driver) -> None:
    """It has no range that could be asked for."""
    driver.put("a", b"")
    assert strict.asked(lambda: driver.stat("a")) == ["GET", "HEAD"]


def test_a_thousand_keys_are_deleted_by_four_requests(strict: StrictS3, driver: S3Driver) -> None:
    """Two listings, the key, and a batch."""
    for number in range(1000):
        driver.put(f"a/{number}", b"x")
    assert strict.asked(lambda: driver.delete("a")) == ["GET list-type", "DELETE", "GET list-type", "POST delete"]
    assert not strict.objects


def test_the_service_is_probed_once(strict: StrictS3) -> None:
    """Before the first write, on a name of no importance, which is gone afterwards."""
    driver = strict.driver()
    probe = [*["PUT"] * 4, "DELETE", "PUT", "DELETE"]
    assert strict.asked(lambda: driver.put("a", b"")) == [*probe, "PUT"]
    assert strict.asked(lambda: driver.put("a", b"")) == ["PUT"]
    assert list(strict.objects) == ["strict/a"]


def test_what_cannot_be_moved_leaves_no_parts(strict: StrictS3, driver: S3Driver) -> None:
    """A multipart upload that is not completed is aborted: its parts would be paid for."""
    write(driver, "a", DATA)
    strict.fault = lambda asked: "SlowDown" if asked.what == "POST uploadId" else ""
    with pytest.raises(BackendUnavailableError, match="asks for fewer requests"):
        driver.move("a", "b")
    assert not strict.uploads
    assert list(driver.list("")) == ["a"]


Act: TypeAlias = Callable[[Driver], Callable[[], object]]


def _flush(driver: Driver) -> Callable[[], object]:
    writer = driver.open_writer("a")
    writer.write(DATA)
    return writer.flush


def _move(driver: Driver) -> Callable[[], object]:
    write(driver, "a", DATA)
    return lambda: driver.move("a", "b")


def _move_small(driver: Driver) -> Callable[[], object]:
    driver.put("a", b"data")
    return lambda: driver.move("a", "b")


def _delete(driver: Driver) -> Callable[[], object]:
    write(driver, "a", b"data")
    driver.put("a/b", b"data")
    return lambda: driver.delete("a")


ACTS: dict[str, Act] = {
    "put": lambda driver: lambda: driver.put("a", b"data"),
    "open": lambda driver: lambda: driver.open_writer("a"),
    "flush": _flush,
    "move": _move,
    "move of a plain object": _move_small,
    "delete": _delete,
}


def seen(strict: StrictS3) -> dict[str, bytes]:
    """Return what a fresh handle sees."""
    strict.fault = lambda asked: ""
    fresh = strict.driver()
    keys = [key for key in fresh.list("") if not key.endswith("/")]
    return {key: read(fresh, key) for key in keys}


def each_request() -> Iterator[tuple[str, int]]:
    """Yield every request of everything that is put to the test."""
    for name, act in ACTS.items():
        strict = StrictS3()
        driver = strict.driver(block_size=PIECE, concurrency="1")
        driver.put("probed", b"")
        driver.delete("probed")
        yield from ((name, number) for number in range(len(strict.asked(act(driver)))))


def failing(number: int, fault: str, *, times: int) -> Callable[[Asked], str]:
    """Return a hook that fails the request of this number, and its repetitions up to so many."""
    count = [0]

    def hook(asked: Asked) -> str:
        count[0] += 1
        return fault if number < count[0] <= number + times else ""

    return hook


def done(name: str) -> StrictS3:
    """Return a service on which this was done without a fault."""
    reference = StrictS3()
    ACTS[name](reference.driver(block_size=PIECE))()
    return reference


with small_parts():
    REQUESTS = list(each_request())

CONDITIONS = {"if-match", "if-none-match"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("name", "number"), REQUESTS)
def test_what_fails_once_is_done_exactly_once(
    strict: StrictS3, driver: S3Driver, name: str, number: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK asks again, and the second answer is understood: the caller notices nothing."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    reference, act = done(name), ACTS[name](driver)
    failed = failing(number, fault, times=1)

    def hook(asked: Asked) -> str:
        now = failed(asked)  # only a conditional write can be in conflict
        return now if now != "ConditionalRequestConflict" or CONDITIONS & asked.headers.keys() else ""

    strict.fault = hook
    act()
    assert seen(strict) == seen(reference)


@pytest.mark.parametrize("fault", ["lose request", "lose answer", "SlowDown"])
@pytest.mark.parametrize(("name", "number"), REQUESTS)
def test_what_fails_for_long_is_done_whole_or_not_at_all_and_can_be_done_again(
    strict: StrictS3, driver: S3Driver, name: str, number: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the error there is the old state or the new one, and the same call, made again, leads to the new one."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    after, act = seen(done(name)), ACTS[name](driver)
    before = seen(strict)
    strict.fault = failing(number, fault, times=5)
    try:
        act()
    except BackendUnavailableError:
        assert seen(strict) in (before, after, before | after)  # a move's source and target may both be there
    else:
        assert seen(strict) == after
    with suppress(PathNotFoundError):  # a move that was done, and of which the answer was lost
        act()
    assert seen(strict) == after


def test_a_conflict_is_tried_again(strict: StrictS3, driver: S3Driver) -> None:
    """AWS refuses a conditional write while another one is under way; nothing has changed."""
    strict.fault = failing(1, "ConditionalRequestConflict", times=3)
    driver.open_writer("a").flush()
    assert seen(strict) == {"a": b""}


def test_a_body_that_breaks_again_and_again_is_an_error(strict: StrictS3, driver: S3Driver) -> None:
    """An object is never cut short in silence; one byte each time is progress."""
    driver.put("a", bytes(1 << 20))
    with driver.open_reader("a") as reader:
        reader.seek(1 << 19)
        strict.fault = lambda asked: "break"
        assert reader.read(3) == bytes(3)


def test_an_error_whose_body_breaks_is_an_unavailable_backend(strict: StrictS3, driver: S3Driver) -> None:
    """The SDK lets it through as an error of its HTTP client."""
    strict.errors_break = True
    strict.fault = lambda asked: "break"
    with pytest.raises(BackendUnavailableError):
        driver.stat("none")


def test_a_missing_bucket_is_no_missing_key(strict: StrictS3, driver: S3Driver) -> None:
    """Every call says that the backend is not there."""
    strict.missing = True
    for act in (
        lambda: driver.stat("a"),
        lambda: driver.put("a", b""),
        lambda: list(driver.list("")),
        lambda: driver.delete("a"),
        lambda: driver.move("a", "b"),
        lambda: driver.open_writer("a"),
        lambda: driver.open_reader("a"),
    ):
        with pytest.raises(BackendUnavailableError, match="no such bucket"):
            act()


class Answering(StrictS3):
    """Answers everything with an error."""

    def __init__(self, status: int, code: str) -> None:
        """Answer so."""
        super().__init__()
        self.said = status, code

    def _answer(self, asked: Asked, fault: str) -> Answer:
        return self.said[0], {}, f"<Error><Code>{self.said[1]}</Code></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "AccessDenied", AccessDeniedError, "AccessDenied, HTTP 403, request REQUEST"),
        (403, "SignatureDoesNotMatch", AccessDeniedError, "the secret access key is wrong"),
        (403, "InvalidAccessKeyId", AccessDeniedError, "no such access key"),
        (503, "SlowDown", BackendUnavailableError, "fewer requests"),
        (500, "InternalError", BackendUnavailableError, "InternalError, HTTP 500"),
        (501, "NotImplemented", UnsupportedOperationError, "cannot do this"),
    ],
)
def test_errors_of_the_service_are_the_contracts(
    status: int, code: str, kind: type[DriverError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the service's own code, and a hint where there is one."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    service = Answering(status, code)
    with pytest.raises(kind, match=said):
        service.driver(retries="1").stat("a")


def test_an_unreachable_endpoint_is_an_unavailable_backend() -> None:
    """The message says where nobody listens, and no secret."""
    from layerstore import open_driver

    url = "s3://bucket?endpoint=http://127.0.0.1:9&access_key_id=id&secret_access_key=hidden&retries=0"
    with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1:9") as caught:
        open_driver(url).stat("a")
    assert "hidden" not in str(caught.value)


def test_what_is_stored_is_encrypted_as_asked(strict: StrictS3) -> None:
    """Objects, pieces, copies and composed objects are."""
    driver = strict.driver(block_size=PIECE, sse="aws:kms", sse_kms_key_id="key")
    write(driver, "a", DATA)
    driver.move("a", "b")
    write(driver, "c", b"data")
    driver.move("c", "d")
    write(driver, "e", b"data")
    assert len(strict.objects) == 4
    assert {found.headers["x-amz-server-side-encryption"] for found in strict.objects.values()} == {"aws:kms"}


def checksums(strict: StrictS3, checksum: str) -> list[str]:
    """Put an object, and return the headers of checksums that were sent."""
    sent: list[str] = []

    def note(asked: Asked) -> str:
        sent.extend(name for name in asked.headers if name.startswith("x-amz-checksum-"))
        return ""

    strict.fault = note
    strict.driver(checksum=checksum).put("a", b"data")
    return sent


@pytest.mark.parametrize("checksum", ["SHA256", "CRC32"])
def test_what_is_stored_is_sent_with_a_checksum(strict: StrictS3, checksum: str) -> None:
    """The service compares it."""
    assert set(checksums(strict, checksum)) == {f"x-amz-checksum-{checksum.lower()}"}


def test_no_checksum_is_sent_if_none_is_asked_for(strict: StrictS3) -> None:
    """For services that do not know them."""
    assert checksums(strict, "none") == []


def test_a_signed_url_is_of_an_object_as_it_is(strict: StrictS3, driver: S3Driver) -> None:
    """What lies there in pieces cannot be read by others."""
    driver.put("a", b"data")
    write(driver, "b", b"data")
    url = driver.redirect_url("a", timedelta(minutes=5)) or ""
    assert url.startswith("http://strict.test/bucket-")
    assert "Expires" in url
    assert driver.redirect_url("b") is None
    with pytest.raises(PathNotFoundError):
        driver.redirect_url("none")
