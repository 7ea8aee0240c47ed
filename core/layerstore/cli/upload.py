"""``layerstore upload``: store a layer, with checkpoints from which an interrupted upload can be resumed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation, rfc3339
from layerstore.cli.progress import progress
from layerstore.cli.signals import Stopped, signals
from layerstore.cli.size import size
from layerstore.cli.source import Source, SourceChangedError, Stretch, measure, open_source
from layerstore.digest import Digest
from layerstore.errors import (
    LayerClosedError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerStoreError,
    UnknownUploadError,
)
from layerstore.layer import Layer
from layerstore.layout import check_name, check_uuid
from layerstore.service import LayerService
from layerstore.uploads.spool import Verify
from layerstore.uploads.upload import LayerUpload

CHECKPOINT = "32M"
"""Bytes between two flushes, by default: few to send again after a kill, and enough that flushing costs little."""


@dataclass(frozen=True)
class Order:
    """The arguments of the command line."""

    invocation: Invocation
    file: str
    repo: str
    digest: Digest | None
    verify: Verify
    resume: str | None
    checkpoint: int

    def begin(self, service: LayerService) -> LayerUpload:
        """Begin the upload, or go on with it."""
        if self.resume is None:
            return service.upload(self.repo, expected=self.digest)
        return service.resume(self.repo, self.resume)

    def resume_command(self, uuid: str, digest: Digest | None) -> str:
        """Return the command that resumes the upload."""
        # A file name that looks like an option is no option after a directory.
        file = f"./{self.file}" if self.file.startswith("-") and self.file != "-" else self.file
        extra = [] if digest is None else ["--digest", str(digest)]
        extra += [] if self.verify == "resume" else ["--verify", self.verify]
        return self.invocation.command("upload", file, "--repo", self.repo, "--resume", uuid, *extra)

    def resume_hint(self, uuid: str, digest: Digest | None) -> str:
        """Return a line that says how to resume."""
        comment = "  # with all of the input again" if self.file == "-" else ""
        return f"resume with: {self.resume_command(uuid, digest)}{comment}"

    def cancel_hint(self, uuid: str) -> str:
        """Return a line that says how to cancel."""
        return f"cancel with: {self.invocation.command('uploads', 'cancel', uuid, '--repo', self.repo)}"


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--repo", metavar="NAME", required=True, help="The repository that gets the layer.")
@click.option("--digest", metavar="D", help="The digest that it must have: sha256, sha384, sha512 or tarsum.v1+sha256.")
@click.option(
    "--verify",
    type=click.Choice(get_args(Verify)),
    default="resume",
    help="Before finishing, read back the bytes that were not hashed before (resume, the default), or all (reread).",
)
@click.option("--resume", metavar="UUID", help="Resume this upload; FILE must begin with the bytes sent before.")
@click.option(
    "--checkpoint",
    metavar="SIZE",
    type=size,
    default=CHECKPOINT,
    help=f"Make the bytes sent so far durable every SIZE bytes: 1048576, 64M, 1G; {CHECKPOINT} by default.",
)
@flags
@click.pass_obj
def upload(
    invocation: Invocation,
    file: str,
    repo: str,
    digest: str | None,
    verify: Verify,
    resume: str | None,
    checkpoint: int,
) -> None:
    """Store FILE, or standard input, as a layer.

    The last line on stdout is the layer's digest. At the first checkpoint, or if the upload is interrupted, the command
    that resumes it is printed on stderr. A layer that is smaller than a checkpoint is stored at once. A kill loses at
    most the bytes since the last checkpoint, and a signal at most one MiB. With a wrong digest no layer is stored, and
    the upload stays. To resume, FILE or standard input is read from its beginning. Bytes that were sent before are
    compared, and not sent again.
    """
    wanted = None if digest is None else Digest.parse(digest)
    check_name(repo)
    if resume is not None:
        check_uuid(resume)
    order = Order(invocation, file, repo, wanted, verify, resume, checkpoint)
    with (
        invocation.open(verify=verify) as service,
        open_source(file) as source,
        _layer(order, service, source) as layer,
    ):
        invocation.answer(
            str(layer.digest),
            repository=layer.name,
            digest=str(layer.digest),
            size=layer.size,
            created=rfc3339(layer.created_at),
        )


def _layer(order: Order, service: LayerService, source: Source) -> Layer:
    try:
        handle = order.begin(service)
    except LayerExistsError as error:
        order.invocation.say("exists", f"{error}: nothing sent", repository=error.name, digest=error.digest)
        return service.fetch(error.name, error.digest)
    try:
        return _sent(order, handle, source)
    except BaseException as error:
        _leave(order, handle, error)
        raise


def _sent(order: Order, handle: LayerUpload, source: Source) -> Layer:
    if order.resume is not None:
        _announce(order, handle, "resumed", handle.tell())
        try:
            stored = handle.digest()
        except LayerClosedError:
            return _finished_again(order, handle, source)
        _skip(order.invocation, source, handle.tell(), stored)
    _send(order, handle, source)
    return handle.finish(order.digest or handle.digest())


def _announce(order: Order, handle: LayerUpload, event: str, offset: int) -> None:
    order.invocation.say(
        event,
        order.resume_hint(handle.uuid, order.digest),
        uuid=handle.uuid,
        repository=handle.name,
        offset=offset,
        resume=order.resume_command(handle.uuid, order.digest),
    )


def _skip(invocation: Invocation, source: Source, offset: int, stored: Digest) -> None:
    """Read past the bytes that were sent already, and check that they are the same."""
    with progress(invocation, "comparing", offset) as tell:
        digest, size = measure(Stretch(source, tell, offset))
    if size < offset:
        raise SourceChangedError(f"{source.name} ends at byte {size}, the upload has {offset} already")
    if digest != stored:
        raise SourceChangedError(f"the first {offset} bytes of {source.name} are not those that were sent")


def _send(order: Order, handle: LayerUpload, source: Source) -> None:
    known = order.resume is not None
    with progress(order.invocation, "uploading", source.total, handle.tell()) as tell, signals.held():
        while handle.read_from(Stretch(source, tell, order.checkpoint)) == order.checkpoint:
            handle.flush()
            if not known:
                _announce(order, handle, "started", 0)
                known = True
            if order.invocation.json:
                order.invocation.say("checkpoint", "", uuid=handle.uuid, offset=handle.tell())


def _finished_again(order: Order, handle: LayerUpload, source: Source) -> Layer:
    """Finish again an upload whose finish was cut off after its bytes had become a blob."""
    with progress(order.invocation, "comparing", source.total) as tell:
        digest, size = measure(Stretch(source, tell))
    if order.digest is not None:
        return handle.finish(order.digest, size)
    try:
        return handle.finish(digest, size)
    except LayerInvalidDigestError as error:
        raise SourceChangedError(f"{source.name} is not what was sent: that is {error.actual}") from error


def _leave(order: Order, handle: LayerUpload, error: BaseException) -> None:
    """Keep the bytes that were sent and, if the upload can be resumed, say how."""
    with suppress(LayerStoreError, Stopped), signals.held():
        handle.close()
    if isinstance(error, UnknownUploadError) or not handle.known:
        return
    # To resume with a digest that was wrong would end in the same way.
    wrong = isinstance(error, LayerInvalidDigestError)
    error.add_note(order.resume_hint(handle.uuid, None if wrong else order.digest))
    error.add_note(order.cancel_hint(handle.uuid))
