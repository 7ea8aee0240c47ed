"""``layerstore fetch``: write a layer, verified, or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation
from layerstore.cli.progress import progress
from layerstore.digest import Digest
from layerstore.errors import LayerInvalidDigestError
from layerstore.hashing.cursor import BLOCK
from layerstore.layer import Layer

LONGEST_NAME = 200
"""Bytes of a file's name that the name of its draft repeats; file systems take 255."""


@click.command()
@click.argument("digest")
@click.option("--repo", metavar="NAME", required=True, help="The repository of the layer.")
@click.option("-o", "--output", metavar="FILE|-", required=True, help="Where to write the layer; - is standard output.")
@flags
@click.pass_obj
def fetch(invocation: Invocation, digest: str, repo: str, output: str) -> None:
    """Write a layer to FILE, verified.

    The bytes go to .FILE.<random>.part beside FILE. That file replaces FILE only if the bytes hash to DIGEST (for a
    tarsum, to the layer's sha256). Standard output, a FIFO or a device gets the bytes before they are verified: check
    the exit status.
    """
    with invocation.open() as service, service.fetch(repo, Digest.parse(digest)) as layer:
        with _opened(output) as file:
            _copy(invocation, layer, file)
        if invocation.json:
            about = {"repository": layer.name, "digest": str(layer.digest), "size": layer.size, "file": output}
            # With the bytes on stdout, the JSON object goes to stderr with the events.
            invocation.say("fetched", "", **about) if output == "-" else invocation.answer("", **about)


def _copy(invocation: Invocation, layer: Layer, file: BinaryIO) -> None:
    wanted = layer.canonical if layer.digest.is_tarsum else layer.digest
    hasher, buffer = hashlib.new(wanted.algorithm), memoryview(bytearray(BLOCK))
    with progress(invocation, "fetching", layer.size) as advance:
        while count := layer.readinto(buffer):
            file.write(buffer[:count])
            hasher.update(buffer[:count])
            advance(count)
    file.flush()
    if hasher.hexdigest() != wanted.hex:
        raise LayerInvalidDigestError(str(wanted), str(Digest(wanted.algorithm, hasher.hexdigest())))


@contextmanager
def _opened(output: str) -> Iterator[BinaryIO]:
    if output == "-":
        yield sys.stdout.buffer
        return
    with _blaming(output):
        if os.path.isdir(output) or not os.path.basename(output):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.exists(output) and not os.path.isfile(output):
            with open(output, "wb") as file:
                yield file
            return
        with _replacing(Path(os.path.realpath(output))) as file:
            yield file


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that replaces another only if the block raises nothing."""
    name = os.fsdecode(os.fsencode(path.name)[:LONGEST_NAME])
    draft = path.with_name(f".{name}.{secrets.token_hex(8)}.part")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):  # the draft may not exist
            draft.unlink()
        raise


@contextmanager
def _blaming(output: str) -> Iterator[None]:
    """Let an error name the file that was asked for, and not the draft."""
    try:
        yield
    except OSError as error:
        error.filename = output
        raise
