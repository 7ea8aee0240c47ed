"""One handle, several callers: threads take turns, and who is in the middle of a call is refused."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from layerstore import LayerClosedError, LayerService, LayerUpload, open_driver
from layerstore.checked import CheckedDriver
from layerstore.threads.turns import Turns, in_turn
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, of

if TYPE_CHECKING:
    from typing_extensions import Buffer

DATA = Payload("turns").read(300_000)

CALLS: dict[str, Callable[[LayerUpload], object]] = {
    "write": lambda upload: upload.write(b"more"),
    "seek": lambda upload: upload.seek(0),
    "flush": lambda upload: upload.flush(),
    "digest": lambda upload: upload.digest(),
    "finish": lambda upload: upload.finish(digest(DATA)),
    "cancel": lambda upload: upload.cancel(),
    "close": lambda upload: upload.close(),
}


@pytest.fixture
def trap() -> Trap:
    """Lie in wait after a call."""
    return Trap("after")


@pytest.fixture
def upload(url: str, trap: Trap) -> LayerUpload:
    """Begin an upload, and write to it."""
    upload = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap))).upload("a")
    upload.write(DATA)
    upload.flush()
    return upload


def test_a_write_of_another_thread_waits_for_the_finish(upload: LayerUpload, trap: Trap) -> None:
    """A write in one thread while another finishes is not in the layer, and raises."""
    with ThreadPoolExecutor(1) as pool:
        late: list[Future[int]] = []

        def write_late() -> None:
            late.append(pool.submit(upload.write, b"more"))
            late[0].done() or threading.Event().wait(0.1)  # time for a write that does not wait

        trap.set(of("publish"), write_late)
        assert upload.finish(digest(DATA)).read() == DATA
        with pytest.raises(LayerClosedError):
            late[0].result()


def test_threads_that_share_a_handle_store_what_is_hashed(upload: LayerUpload) -> None:
    """If several threads write by one handle, in any order, the layer hashes to its digest."""
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(upload.write, [DATA[:size] for size in (1, 1000, 300_000) * 20]):
            pass
    wanted = upload.digest()
    assert digest(upload.finish(wanted).read()) == str(wanted)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_the_middle_of_a_finish_is_refused(upload: LayerUpload, trap: Trap, name: str) -> None:
    """A signal handler's call of a handle that is in the middle of a call is refused, and changes nothing."""
    refusals: list[RuntimeError] = []

    def handle() -> None:
        with pytest.raises(RuntimeError, match=f"{name} is called in the middle") as refusal:
            CALLS[name](upload)
        refusals.append(refusal.value)

    trap.set(of("publish"), handle)
    assert upload.finish(digest(DATA)).read() == DATA
    assert len(refusals) == 1


def test_a_stream_may_look_at_the_upload_it_is_written_to(upload: LayerUpload) -> None:
    """A stream is read outside of the turn: what it does to the upload is done between two blocks."""

    class Curious(io.BytesIO):
        def readinto(self, buffer: "Buffer") -> int:
            upload.flush()
            return super().readinto(buffer)

    assert upload.read_from(Curious(b"more")) == 4


def test_a_call_that_was_interrupted_ends_its_turn(upload: LayerUpload, trap: Trap) -> None:
    """After Ctrl-C in the middle of a call the handle goes on to serve this thread and others."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    trap.set(of("publish"), interrupt)
    with pytest.raises(KeyboardInterrupt):
        upload.flush()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(upload.flush).result()
    assert upload.finish(digest(DATA)).read() == DATA


class Used:
    """Something that takes turns."""

    def __init__(self) -> None:
        self._turns = Turns()

    @in_turn
    def use(self, how: Callable[[], object]) -> object:
        """Do something."""
        return how()


def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    """In a child that was forked in the middle of another thread's turn it is nobody's turn."""
    used, entered, leave = Used(), threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(used.use, lambda: [event() for event in (entered.set, leave.wait)])
        entered.wait()
        used._turns.process -= 1  # so that this process is another one
        try:
            assert used.use(lambda: "done") == "done"
        finally:
            leave.set()
