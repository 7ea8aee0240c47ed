"""Blocks on their way to the service: a few at once, while the caller goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress

from layerstore.errors import DriverError
from layerstore_drivers.azure.blocks import Block


class Pool:
    """The threads of one driver, made when first needed."""

    def __init__(self, threads: int) -> None:
        """Have at most so many."""
        self.threads = threads
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def submit(self, stage: Callable[[Block], None], block: Block) -> Future[None]:
        """Have a thread stage a block."""
        with self._lock:
            if self._pool is None or self._process != os.getpid():  # no thread comes along through a fork
                self._process = os.getpid()
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="layerstore-azure")
            return self._pool.submit(stage, block)

    def close(self) -> None:
        """Let the threads end when they have nothing more to do."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)


class Stager:
    """One writer's blocks on their way. What fails keeps its bytes, and is tried again when all must be there."""

    def __init__(self, pool: Pool, upload: Callable[[str, bytes], None]) -> None:
        """Stage by ``upload``, which takes a block's id and bytes."""
        self._pool = pool
        self._upload = upload
        self._underway: dict[Future[None], Block] = {}
        self._failed: list[Block] = []

    def admit(self) -> None:
        """Try again what failed, before more is accepted.

        Raises:
            DriverError: it fails again.
        """
        while self._failed:
            self._stage(self._failed[-1])
            self._failed.pop()

    def submit(self, block: Block) -> None:
        """Send a block, as soon as fewer than the pool's threads are busy with this writer's blocks."""
        while len(self._underway) >= self._pool.threads:
            done, _ = wait(self._underway, return_when=FIRST_COMPLETED)
            self._collect(done)
        self._underway[self._pool.submit(self._stage, block)] = block

    def settle(self, last: Block | None = None) -> None:
        """Send ``last``, here and now, and wait for all others.

        Raises:
            DriverError: a block cannot be stored; it may be tried again.
        """
        if last is not None:
            self._failed.append(last)
            if not self._underway:
                self.admit()
        self._collect(wait(self._underway).done)
        self.admit()

    def forget(self) -> None:
        """Drop what has not begun."""
        for future in self._underway:
            future.cancel()
        self._underway.clear()
        self._failed.clear()

    def _collect(self, done: set[Future[None]]) -> None:
        for future in done:
            block = self._underway.pop(future)
            with suppress(DriverError):
                future.result()
            if not block.staged:
                self._failed.append(block)

    def _stage(self, block: Block) -> None:
        data = block.data
        if block.staged or data is None:
            return
        self._upload(block.id, data)
        block.staged = True
        if not block.keep:
            block.data = None
