"""Every call that changes something, on a network that fails at every request: done once, or an error and unchanged.

The table in docs/reliability.md is what these tests found. To write it anew::

    AZURE_FAULT_TABLE=FILE pytest drivers/tests/test_azure_faults.py -k table
"""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import pytest
from azure.core.pipeline.transport import HttpTransport
from azure.storage.blob import ContainerClient

import layerstore
from layerstore import BackendUnavailableError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_drivers.azure import move
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_faulty import ALWAYS, Copying, Fault, FaultyTransport, Kind
    from tests.azure_strict import ACCOUNT
else:
    from azure_faulty import ALWAYS, Copying, Fault, FaultyTransport, Kind
    from azure_strict import ACCOUNT

pytestmark = pytest.mark.xdist_group("azurite")

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
INTRODUCTION = """\
If a fault happens once, at any request of a call, the driver mends it: the call returns, and is done once. If all
requests of one kind fail for good, the call raises `BackendUnavailableError`. For each kind of request, the table says
what is stored after that. "Done, but raised" means that the call raised after it had taken effect. The contract
allows each of these results (clauses E4, M2, D4). If the network works again and the call is repeated, it succeeds.
Only if a move was done and has raised, its repetition raises `PathNotFoundError`."""
BEGIN, END = "<!-- azure faults -->", "<!-- end of azure faults -->"
OLD, NEW = b"o" * 250, b"n" * 250
State = dict[str, bytes]

_numbers = itertools.count()
_written: WeakSet[Any] = WeakSet()


class Call(NamedTuple):
    """A call, the state before it, and the state after it."""

    before: State
    after: State
    prepare: Callable[[CheckedDriver], Any]
    act: Callable[[CheckedDriver, Any], object]
    """May be called again after an error, as a caller would."""


def _nothing(_: CheckedDriver) -> None:
    return None


def _open(driver: CheckedDriver) -> Any:  # noqa: ANN401  (a writer; whoever acts knows)
    return driver.open_writer("key")


def _append(_: CheckedDriver, writer: Any) -> None:  # noqa: ANN401
    if writer not in _written:  # a write that was accepted is not written again, where the flush failed
        writer.write(NEW)
        _written.add(writer)
    writer.flush()


def _rewrite(_: CheckedDriver, writer: Any) -> None:  # noqa: ANN401
    writer.seek(120)
    writer.write(b"n" * 60)
    writer.flush()


REWRITTEN = b"o" * 120 + b"n" * 60 + b"o" * 70
BELOW = {f"key/{number}": OLD for number in range(3)}

CALLS = {
    "open_writer, new": Call({}, {}, _nothing, lambda driver, _: driver.open_writer("key").discard()),
    "open_writer": Call({"key": OLD}, {"key": OLD}, _nothing, lambda driver, _: driver.open_writer("key").discard()),
    "write and flush, new": Call({}, {"key": NEW}, _open, _append),
    "write and flush": Call({"key": OLD}, {"key": OLD + NEW}, _open, _append),
    "rewrite and flush": Call({"key": OLD}, {"key": REWRITTEN}, _open, _rewrite),
    "put, new": Call({}, {"key": NEW}, _nothing, lambda driver, _: driver.put("key", NEW)),
    "put": Call({"key": OLD}, {"key": NEW}, _nothing, lambda driver, _: driver.put("key", NEW)),
    "move, new": Call({"key": OLD}, {"to": OLD}, _nothing, lambda driver, _: driver.move("key", "to")),
    "move": Call({"key": OLD, "to": NEW}, {"to": OLD}, _nothing, lambda driver, _: driver.move("key", "to")),
    "delete": Call({"key": OLD}, {}, _nothing, lambda driver, _: driver.delete("key")),
    "delete, a prefix": Call(BELOW, {}, _nothing, lambda driver, _: driver.delete("key")),
}


class Wire:
    """A container, and the network before it; every trial has a prefix of its own there."""

    def __init__(self, endpoint: str, container: ContainerClient) -> None:
        self.endpoint = endpoint
        self.container = container
        self.transport = FaultyTransport(endpoint)
        self.prefix = ""
        self.outcomes: dict[tuple[str, Kind], str] = {}

    def driver(self) -> CheckedDriver:
        """Open a driver, on a new prefix and with no plan."""
        self.prefix = f"trial-{next(_numbers)}"
        self.transport.plan, self.transport.copying = [], None
        url = f"azure+emulator://{self.container.container_name}/{self.prefix}"
        return layerstore.open_driver(url, endpoint=self.endpoint, block_size=100, transport=self.transport)

    def state(self) -> State:
        """Look, by the SDK, at what is published below the prefix."""
        found = {}
        for blob in self.container.list_blobs(f"{self.prefix}/", include=["metadata"]):
            size = (blob.metadata or {}).get("layerstoresize", str(blob.size))
            if size != "none":
                data = self.container.download_blob(blob.name).readall() if blob.size else b""
                found[blob.name.removeprefix(f"{self.prefix}/")] = data[: int(size)]
        return found

    def asked(self, call: Call) -> list[str]:
        """Return the requests that a call makes where nothing fails."""
        driver, held = self.ready(call)
        with closing(driver):
            self.transport.asked.clear()
            call.act(driver, held)
            assert self.state() == call.after
        return [asked.partition(f" {self.prefix}")[0] for asked in self.transport.asked]

    def ready(self, call: Call) -> tuple[CheckedDriver, Any]:
        """Open a driver on what a call is made on."""
        driver = self.driver()
        for key, data in call.before.items():
            with driver.open_writer(key) as writer:
                writer.write(data)
        return driver, call.prepare(driver)

    def outcome(self, name: str, kind: Kind) -> str:
        """Have a call fail in a way, at every request once and at each sort of request for good; tell it in words."""
        if (name, kind) not in self.outcomes:
            asked = self.asked(CALLS[name])
            for number in range(len(asked)):
                self.once(CALLS[name], Fault(kind, "", skip=number))
            endings = {self.for_good(CALLS[name], Fault(kind, each, ALWAYS)) for each in sorted(set(asked))}
            self.outcomes[name, kind] = "; ".join(sorted(endings))
        return self.outcomes[name, kind]

    def once(self, call: Call, fault: Fault) -> None:
        """See that one fault changes nothing of what a call does."""
        driver, held = self.ready(call)
        with closing(driver):
            text = str(fault)
            self.transport.plan = [fault]
            call.act(driver, held)
            self.transport.plan = []
            assert self.state() == call.after, text

    def for_good(self, call: Call, fault: Fault) -> str:
        """See what is there after an error, and that the same call succeeds when the network is mended."""
        driver, held = self.ready(call)
        with closing(driver):
            self.transport.plan = [fault]
            ending = self._ending(call, driver, held, fault)
            self.transport.plan = []
            with suppress(PathNotFoundError):  # a move that was done, and has raised, cannot be repeated
                call.act(driver, held)
            assert self.state() == call.after, f"{fault}, and again without"
        return ending

    def _ending(self, call: Call, driver: CheckedDriver, held: Any, fault: Fault) -> str:  # noqa: ANN401
        try:
            call.act(driver, held)
        except BackendUnavailableError:  # any other error would be a wrong one
            return self._named(call, self.state(), fault)
        assert self.state() == call.after, fault
        return "done another way"

    def _named(self, call: Call, state: State, fault: Fault) -> str:
        if state == call.before:
            return "unchanged"
        if state == call.after:
            return "done, but raised"
        both = {**call.before, **call.after}
        if "to" in call.after and state == both:
            return "under both keys"
        partly = call is CALLS["delete, a prefix"] and state.items() <= call.before.items()
        assert partly, f"{fault}: {state}"
        return "some deleted"


@pytest.fixture(scope="module")
def shared_wire(azurite: Azurite) -> Iterator[Wire]:
    """Return one wire for all tests: what was found once is found."""
    with ContainerClient(azurite.endpoint, f"faults-{os.getpid()}", ACCOUNT) as container:
        container.create_container()
        made = Wire(azurite.endpoint, container)
        yield made
        made.transport.close()
        container.delete_container()


@pytest.fixture
def waits() -> list[float]:
    """Keep how long the SDK and the driver would have waited, in seconds."""
    return []


@pytest.fixture
def wire(shared_wire: Wire, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return the wire; nobody really waits."""
    monkeypatch.setattr(HttpTransport, "sleep", lambda _, duration: waits.append(duration))
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    monkeypatch.setattr(move, "PAUSE", 0.0)
    monkeypatch.setattr(move, "LOOKS", 5)
    return shared_wire


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.replace(" ", "-"))
@pytest.mark.parametrize("name", CALLS, ids=lambda name: name.replace(" ", "-").replace(",", ""))
def test_every_change_is_made_once_or_not_at_all(wire: Wire, name: str, kind: Kind) -> None:
    """A fault that passes is mended unseen; one that stays is an error, and the call can be repeated after it."""
    assert wire.outcome(name, kind)


def test_waits_begin_with_half_a_second(wire: Wire, waits: list[float]) -> None:
    """A lost answer costs little, and not the two seconds and more that the SDK waits at least."""
    wire.once(CALLS["put"], Fault(Kind.RESPONSE_LOST, ""))
    assert 0.4 <= min(waits) <= 0.6


def markdown(wire: Wire) -> str:
    """Return the table: what each call comes to under each fault."""
    lines = [INTRODUCTION, "", f"| call | {' | '.join(Kind)} |", f"| --- |{' --- |' * len(Kind)}"]
    lines += [f"| {name} | {' | '.join(wire.outcome(name, kind) for kind in Kind)} |" for name in CALLS]
    return "\n".join(lines)


def test_the_table_in_the_documents_is_what_was_found(wire: Wire) -> None:
    """docs/reliability.md tells what these tests see; AZURE_FAULT_TABLE=FILE writes the table anew."""
    found = markdown(wire)
    if where := os.environ.get("AZURE_FAULT_TABLE"):
        Path(where).write_text(f"{BEGIN}\n\n{found}\n\n{END}\n")
    told = re.search(f"{BEGIN}\n(.*?)\n{END}", DOCUMENT.read_text(), re.DOTALL)
    assert told, f"no {BEGIN} in {DOCUMENT}"
    assert told[1].strip() == found


def test_a_download_that_breaks_off_goes_on(wire: Wire) -> None:
    """A reader takes up a body that was reset half way, where it was."""
    driver = wire.driver()
    data = os.urandom(300_000)
    driver.put("key", data)
    wire.transport.plan = [Fault(Kind.CUT, "Get Blob", times=4)]
    assert driver.get("key", len(data)) == data
    assert wire.transport.plan[0].times == 0


@pytest.mark.parametrize("pending", [0, 3])
def test_a_copy_that_is_pending_is_waited_for(wire: Wire, pending: int) -> None:
    """The source goes when the copy is complete, and not before."""
    driver = wire.driver()
    driver.put("key", OLD)
    wire.transport.copying = Copying(pending, "success")
    driver.move("key", "to")
    assert wire.state() == {"to": OLD}


@pytest.mark.parametrize("copying_", [Copying(1, "failed"), Copying(1, "aborted"), Copying(ALWAYS, "success")], ids=str)
def test_a_copy_that_comes_to_nothing_leaves_no_target(wire: Wire, copying_: Copying) -> None:
    """The target that Azure shows, of no bytes, is taken away, and the source stays; then it can be moved."""
    driver = wire.driver()
    driver.put("key", OLD)
    wire.transport.copying = copying_
    with pytest.raises(BackendUnavailableError):
        driver.move("key", "to")
    wire.transport.copying = None
    assert wire.state() == {"key": OLD}
    driver.move("key", "to")
    assert wire.state() == {"to": OLD}


def test_nothing_is_seen_of_a_copy_under_way(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a copy is pending, nobody sees an object."""
    driver = wire.driver()
    driver.put("key", OLD)
    wire.transport.copying = Copying(ALWAYS, "success")
    seen: list[bool] = []

    def look(_: float) -> None:
        with pytest.raises(PathNotFoundError):
            driver.stat("to")
        seen.append(True)

    monkeypatch.setattr("layerstore_drivers.azure.move.time.sleep", look)
    with pytest.raises(BackendUnavailableError):
        driver.move("key", "to")
    assert seen


def test_a_busy_service_is_asked_again_after_a_while(wire: Wire, waits: list[float]) -> None:
    """503 is no answer: the request waits, ever longer, and is repeated."""
    driver = wire.driver()
    wire.transport.plan = [Fault(Kind.BEFORE, "Put Blob", times=2)]
    driver.put("key", NEW)
    assert waits == sorted(waits)
    assert len(waits) == 2
