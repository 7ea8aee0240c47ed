"""Check that a block is refused: ``with refused(FencedError) as refusal: ...``; or see whether a call was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerstore import BackendUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class refused:  # noqa: N801  (read as a verb)
    """Check that the block raises one of these errors; any other passes through."""

    error: Any = None
    """The error that was raised."""

    def __init__(self, *kinds: type[Exception]) -> None:
        """Expect one of ``kinds``, or a subclass."""
        self._kinds = kinds

    def __enter__(self) -> refused:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        names = " or ".join(each.__name__ for each in self._kinds)
        assert error is not None, f"expected {names}, but nothing was raised"
        self.error = error
        return isinstance(error, self._kinds)


def done(action: Callable[[], object]) -> bool:
    """Return whether the action was done; False if it raised BackendUnavailableError, as what was cut off does."""
    try:
        action()
    except BackendUnavailableError:
        return False
    return True
