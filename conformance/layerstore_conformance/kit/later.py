"""Have the clocks of a driver's own code go on, or back, at once: time passes, and nobody waits."""

from __future__ import annotations

import datetime as datetime_module
import time as time_module
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, tzinfo
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from layerstore_conformance.kit.places import Places

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver

_SECONDS: Final = ("time", "monotonic", "perf_counter")
_NANOSECONDS: Final = ("time_ns", "monotonic_ns", "perf_counter_ns")


@contextmanager
def later(driver: CheckedDriver, by: timedelta) -> Iterator[None]:
    """Have it be later for a driver's own code, in this process, for the block; earlier if ``by`` is negative.

    What its modules have by name is replaced: the functions of :mod:`time`, ``datetime``, and these modules themselves.
    Libraries, the system and other programs have the true time.
    """
    replaced = _replaced(by)
    with ExitStack() as stack:
        for module in Places(driver).modules():
            for name, value in list(vars(module).items()):
                if id(value) in replaced:
                    stack.enter_context(patch.object(module, name, replaced[id(value)]))
        yield


def _replaced(by: timedelta) -> dict[int, object]:
    """Return what stands for each clock, by the clock's identity."""
    shifted: dict[str, Callable[[], float]] = {
        **{name: _shifted(getattr(time_module, name), by.total_seconds()) for name in _SECONDS},
        **{name: _shifted(getattr(time_module, name), int(by.total_seconds()) * 10**9) for name in _NANOSECONDS},
    }
    later_datetime = _datetime(by)
    return {
        **{id(getattr(time_module, name)): clock for name, clock in shifted.items()},
        id(time_module): _module(time_module, shifted),
        id(datetime): later_datetime,
        id(datetime_module): _module(datetime_module, {"datetime": later_datetime}),
    }


def _shifted(clock: Callable[[], Any], by: float) -> Callable[[], Any]:
    return lambda: clock() + by


def _module(real: ModuleType, instead: dict[str, Any]) -> ModuleType:
    """Return a module like a real one, with other things under some names."""
    made = ModuleType(real.__name__)
    vars(made).update({**vars(real), **instead})
    return made


def _datetime(by: timedelta) -> type[datetime]:
    """Return a class like ``datetime``, whose instances are the real one's, for which it is later."""

    class AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Later(datetime, metaclass=AnyDatetime):
        def __new__(cls, *args: Any, **kwargs: Any) -> datetime:  # type: ignore[misc]  # noqa: ANN401  (as there)
            return datetime(*args, **kwargs)  # noqa: DTZ001  (as it is asked for)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # the real one
            return datetime.now(tz) + by

    return Later
