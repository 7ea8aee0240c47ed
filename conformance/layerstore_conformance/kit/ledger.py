"""A driver that knows which of its readers and writers are open."""

from __future__ import annotations

from layerstore.driver import Driver, Reader, Writer
from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter


class LedgerDriver(PassingDriver):
    """Any driver, with a list of the handles that were opened and not yet released."""

    def __init__(self, inner: Driver) -> None:
        """Begin with none."""
        super().__init__(inner)
        self.held: list[str] = []

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Note a reader."""
        return _LedgerReader(self.inner.open_reader(key, offset), self.held)

    def open_writer(self, key: str) -> Writer:
        """Note a writer."""
        return _LedgerWriter(self.inner.open_writer(key), self.held)


class _LedgerReader(PassingReader):
    def __init__(self, inner: Reader, held: list[str]) -> None:
        super().__init__(inner)
        self._held = held
        held.append(f"reader of {self.key}")

    def release(self) -> None:
        super().release()
        self._held.remove(f"reader of {self.key}")


class _LedgerWriter(PassingWriter):
    def __init__(self, inner: Writer, held: list[str]) -> None:
        super().__init__(inner)
        self._held = held
        held.append(f"writer of {self.key}")

    def release(self) -> None:
        super().release()
        self._held.remove(f"writer of {self.key}")
