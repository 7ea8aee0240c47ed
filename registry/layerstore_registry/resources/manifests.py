"""Manifests: pushing, pulling, deleting, and listing referrers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from werkzeug.wrappers import Response

from layerstore import Digest, LayerInvalidDigestError, layout
from layerstore.contents.manifest import OCI_INDEX
from layerstore_registry.messages import conditions
from layerstore_registry.messages.body import TooMuchError
from layerstore_registry.messages.paging import next_page
from layerstore_registry.refusals import Refusal, bad_request, not_found
from layerstore_registry.resources import digests, documents
from layerstore_registry.resources.holding import hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layerstore import LayerService
    from layerstore_registry.messages.requests import Request
    from layerstore_registry.resources.revisions import Revisions
    from layerstore_registry.settings import Settings

MAX_TAGS: Final = 100
"""Tags that one push may set; the specification requires at least 10."""

REFERRERS_PAGE: Final = 4 << 20
"""Bytes of a list of referrers that every client accepts."""


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest on its way in, and its digests."""

    name: str
    data: bytes
    digest: Digest
    """The digest by which it is pushed."""
    canonical: Digest
    """Its sha256."""
    document: documents.Document


class Manifests:
    """Answers requests about the manifests of a repository."""

    def __init__(self, service: LayerService, revisions: Revisions, settings: Settings) -> None:
        """Serve the manifests of a store."""
        self._service = service
        self._revisions = revisions
        self._settings = settings

    def get(self, request: Request, name: str, reference: str) -> Response:
        """Send a manifest."""
        digest, data = self._read(name, reference)
        if digest is None or data is None:
            raise _unknown(name, reference)
        hold(request, name, digest, self._settings, self._revisions.renew)
        headers = {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"', "X-Content-Type-Options": "nosniff"}
        if conditions.is_known(request, digest):
            return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        headers["Content-Length"] = str(len(data))
        return Response(data, headers=headers, content_type=documents.media_type_of(documents.stored(data)))

    def put(self, request: Request, name: str, reference: str) -> Response:
        """Store a manifest, and point tags to it."""
        layout.check_name(name)
        digest, tags = _names(request, reference)
        data = request.receive().whole(self._settings.max_manifest)
        if len(data) > self._settings.max_manifest:
            raise TooMuchError(f"a manifest of more than {self._settings.max_manifest} bytes")
        canonical = Digest.of(data)
        digest = digest or canonical
        actual = canonical if digest.algorithm == canonical.algorithm else digests.of(data, digest.algorithm)
        if actual != digest:
            raise LayerInvalidDigestError(str(digest), str(actual))
        document = documents.read(data, request.headers.get("Content-Type", ""))
        push = Push(name, data, digest, canonical, document)
        self._check_conditions(request, name, reference)
        self._store(push)
        self._check_conditions(request, name, reference)  # storing took a while
        for tag in tags:
            self._revisions.tag(name, tag, canonical, digest)
        self._again(push)
        return _pushed(name, digest, document, [] if tags == [reference] else tags)

    def delete(self, request: Request, name: str, reference: str) -> Response:
        """Remove a tag, or remove a manifest and every tag that points to it."""
        layout.check_name(name)
        if conditions.is_conditional(request) and not self._current(name, reference):
            raise _unknown(name, reference)
        self._check_conditions(request, name, reference)
        by_tag = layout.is_tag(reference)
        known = self._revisions.untag(name, reference) if by_tag else self._delete(name, reference)
        if not known:
            raise _unknown(name, reference)
        return Response(status=HTTPStatus.ACCEPTED)

    def referrers(self, request: Request, name: str, reference: str) -> Response:
        """List the manifests that refer to another one, which need not be there."""
        layout.check_name(name)
        subject, kind = digests.parse(reference), request.args.get("artifactType")
        found = dict(self._found(name, subject))
        after = request.args.get("last", "")
        chosen = [found[key] for key in sorted(found) if str(key) > after]
        if kind:
            chosen = [descriptor for descriptor in chosen if descriptor.get("artifactType") == kind]
        listed = list(_up_to(REFERRERS_PAGE, chosen))
        headers = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        if len(listed) < len(chosen):
            last = {"last": listed[-1]["digest"]} | ({"artifactType": kind} if kind else {})
            headers |= next_page(f"/v2/{name}/referrers/{subject}", last)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        return Response(json.dumps(index), headers=headers, content_type=OCI_INDEX)

    def _read(self, name: str, reference: str) -> tuple[Digest | None, bytes | None]:
        """Read a manifest. If a tag moves before the bytes are read, read the manifest to which it points by then."""
        digest, stale = self._wanted(name, reference), None
        data = self._revisions.read(name, digest) if digest else None
        while digest and data is None and digest != stale and layout.is_tag(reference):
            stale, digest = digest, self._wanted(name, reference)
            data = self._revisions.read(name, digest) if digest else None
        return digest, data

    def _check_conditions(self, request: Request, name: str, reference: str) -> None:
        """Refuse a change if the client says of what is there that it is another."""
        if conditions.is_conditional(request):
            conditions.check(request, self._current(name, reference))

    def _current(self, name: str, reference: str) -> Digest | None:
        """Return the digest of the manifest that is there, by which its entity tag is called."""
        digest = self._wanted(name, reference)
        return digest if digest and self._revisions.find(name, digest) else None

    def _wanted(self, name: str, reference: str) -> Digest | None:
        if layout.is_tag(reference):
            canonical = self._revisions.standing_for(name, reference)
            return self._revisions.told_by(name, reference, canonical) if canonical else None
        layout.check_name(name)
        return digests.parse(reference) if ":" in reference else None

    def _store(self, push: Push) -> None:
        """Store a manifest if its references are there. Check them again after that: now it keeps them in use."""
        self._check_references(push.name, push.document)
        names = [each for each in {push.digest, push.canonical} if self._revisions.find(push.name, each) is None]
        self._put(push, names)

    def _put(self, push: Push, names: list[Digest]) -> None:
        """Put a manifest, and then look whether what it refers to is there and stays: if not, take away its new names.

        In this order: a collection of what nothing refers to sees the manifest, or this sees what the collection has
        dropped (:mod:`layerstore.upkeep.unreferenced`).
        """
        self._add(push)
        versions = self._revisions.versions(push.name, names)
        self._remember(push)
        try:
            self._keep_references(push.name, push.document)
        except Refusal:  # of a failure nothing is known; and another push may have been answered meanwhile
            self._revisions.remove_at(versions)
            raise

    def _again(self, push: Push) -> None:
        """Put again what a delete or a collection that met the push has taken away, before its tags were put."""
        gone = [each for each in {push.digest, push.canonical} if self._revisions.renew(push.name, each) is None]
        if gone:
            self._put(push, gone)
        subject = push.document.subject
        if subject and not self._revisions.remembers(push.name, subject, push.digest):
            self._remember(push)

    def _add(self, push: Push) -> None:
        self._revisions.add(push.name, push.data, push.canonical, [push.digest])

    def _remember(self, push: Push) -> None:
        """If it refers to another manifest, store that."""
        if push.document.subject:
            descriptor = push.document.descriptor(push.digest, len(push.data))
            self._revisions.remember(push.name, push.document.subject, push.digest, descriptor)

    def _check_references(self, name: str, document: documents.Document) -> None:
        """Refuse a manifest if something is missing that it refers to."""
        _refuse_missing(name, document, self._service.exists, self._revisions.find)

    def _keep_references(self, name: str, document: documents.Document) -> None:
        """Do so, and have what is there stay: no collection drops it any more."""
        _refuse_missing(name, document, self._service.renew, self._revisions.renew)

    def _delete(self, name: str, reference: str) -> bool:
        digest = digests.parse(reference)
        canonical = self._revisions.find(name, digest)
        if canonical is None:
            return False
        data = self._revisions.read(name, digest)
        names = {digest, canonical} | {digests.of(data, each) for each in digests.ALGORITHMS if data is not None}
        self._revisions.untag_all(name, canonical)
        subject = _subject(data)
        if subject:
            self._revisions.forget(name, subject, names)
        self._revisions.remove(name, names)
        if self._revisions.find(name, canonical) is None:  # a push has put a tag after they were listed
            self._revisions.untag_all(name, canonical)
        return True

    def _found(self, name: str, subject: Digest) -> Iterator[tuple[Digest, dict[str, Any]]]:
        """Yield referrers that were pushed here, and those that clients of another registry have put into a tag."""
        yield from self._revisions.referrers(name, subject)
        index = self._read_tag(name, f"{subject.algorithm}-{subject.hex[:64]}")
        for child in _children(index):
            data = self._revisions.read(name, child)
            if data is not None and _subject(data) == subject:
                yield child, documents.read(data).descriptor(child, len(data))

    def _read_tag(self, name: str, tag: str) -> bytes | None:
        digest = self._revisions.standing_for(name, tag)
        return self._revisions.read(name, digest) if digest else None


def _refuse_missing(
    name: str,
    document: documents.Document,
    is_blob: Callable[[str, Digest], bool],
    manifest: Callable[[str, Digest], Digest | None],
) -> None:
    missing = [digest for digest in document.blobs if not is_blob(name, digest)]
    for digest in document.manifests:  # of a BuildKit cache these are blobs
        missing += [] if manifest(name, digest) or is_blob(name, digest) else [digest]
    if missing:
        raise bad_request("MANIFEST_BLOB_UNKNOWN", f"repository {name} has no {', '.join(map(str, missing[:5]))}")


def _names(request: Request, reference: str) -> tuple[Digest | None, list[str]]:
    """Return the names for a manifest: the digest, if one was given, and the tags."""
    if ":" not in reference:
        if not layout.is_tag(reference):
            raise bad_request("MANIFEST_INVALID", f"{reference[:200]!r} is no tag")
        return None, [reference]
    tags = list(dict.fromkeys(request.args.getlist("tag")))
    if len(tags) > MAX_TAGS or not all(map(layout.is_tag, tags)):
        raise bad_request("MANIFEST_INVALID", f"not at most {MAX_TAGS} tags")
    return digests.parse(reference), tags


def _unknown(name: str, reference: str) -> Refusal:
    return not_found("MANIFEST_UNKNOWN", f"repository {name} has no manifest {reference[:200]}")


def _pushed(name: str, digest: Digest, document: documents.Document, tags: list[str]) -> Response:
    headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": str(digest)}
    if document.subject:
        headers["OCI-Subject"] = str(document.subject)
    answer = Response(status=HTTPStatus.CREATED, headers=headers)
    for tag in tags:
        answer.headers.add("OCI-Tag", tag)
    return answer


def _subject(data: bytes | None) -> Digest | None:
    try:
        return documents.read(data).subject if data is not None else None
    except Refusal:
        return None


def _children(index: bytes | None) -> tuple[Digest, ...]:
    try:
        return documents.read(index).manifests if index is not None else ()
    except Refusal:
        return ()


def _up_to(size: int, descriptors: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield descriptors as long as they fit, and at least one."""
    left = size - 1024  # for what is around them
    for number, descriptor in enumerate(descriptors):
        left -= len(json.dumps(descriptor)) + 2
        if left < 0 and number:
            return
        yield descriptor
