"""Every lifecycle, cut off before and after every driver call, on every driver that needs no server."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from layerstore import LayerService, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.cutting import Cut, CutObserver, PiecemealDriver, Side
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.lifecycles import LIFECYCLES, TrackedUpload

pytestmark = pytest.mark.once

NEVER = 1 << 30

Lifecycle = Callable[[TrackedUpload], None]


def live(url: str, lifecycle: Lifecycle, observer: CutObserver) -> TrackedUpload:
    """Run a lifecycle as far as the observer lets it, and drop every handle as a dying process does."""
    driver = CheckedDriver(PiecemealDriver(open_driver(url), observer))
    tracked = TrackedUpload(LayerService(driver), "cut/off")
    with suppress(Cut):
        lifecycle(tracked)
    tracked._upload = None
    return tracked


def check(url: str, tracked: TrackedUpload, ending: Callable[[LayerService, TrackedUpload], None]) -> None:
    """Look at what is left through a fresh driver, and bring it to an end."""
    service = LayerService(open_driver(url))
    theorem.check_store(service.driver)
    if theorem.check_upload(service, tracked):
        ending(service, tracked)
        theorem.check_store(service.driver)


@pytest.fixture(params=["memory", "local"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Make the URL of a new store, by a name."""
    if request.param == "memory":
        return lambda name: f"memory://{tmp_path.name}-{name}"
    return lambda name: f"local:{new_directory(tmp_path / name)}"


def new_directory(path: Path) -> Path:
    """Make the root of a store, so that one cut off before its first call can be looked at too (clause E2)."""
    path.mkdir()
    return path


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("ending", [theorem.finish_again, theorem.cancel_again])
@pytest.mark.parametrize("lifecycle", LIFECYCLES)
def test_a_life_cut_off_at_any_call_keeps_the_theorem(
    new_url: Callable[[str], str],
    lifecycle: Lifecycle,
    ending: Callable[[LayerService, TrackedUpload], None],
    side: Side,
) -> None:
    """Cut off anywhere, an upload is as promised, can be finished or cancelled, and nothing partial is visible."""
    whole = CutObserver(NEVER, side)
    tracked = live(new_url("whole"), lifecycle, whole)
    assert tracked.ended
    for passing in range(len(whole.calls)):
        url = new_url(f"{passing}")
        observer = CutObserver(passing, side)
        tracked = live(url, lifecycle, observer)
        assert observer.dead
        try:
            check(url, tracked, ending)
        except Exception as error:
            error.add_note(f"cut off {side} call {passing}, {observer.calls[-1]}")
            raise
