"""The layout of a store in its backend: the only place that builds a store's keys.

It is CNCF Distribution's layout, version 2, so a registry on the same backend serves layers that were stored here, and
the other way round (distribution, registry/storage/paths.go). *Ours* marks what only layerstore knows:

    docker/registry/v2/
        blobs/sha256/<first two digits>/<hex>/data
        repositories/<name>/_layers/<algorithm>/<hex>/link           sha256:<hex>, no newline
        repositories/<name>/_layers/tarsum/v1/sha256/<hex>/link      the same; as the 2015 registry spelled it
        repositories/<name>/_uploads/<uuid>/startedat                RFC 3339, UTC; the upload exists while this does
        repositories/<name>/_uploads/<uuid>/data                     the bytes so far
        repositories/<name>/_uploads/<uuid>/state                    saved hash states, ours: hashing/uploadstate.py
        repositories/<name>/_uploads/<uuid>/intent/<hex>             a finish under way, ours: the digest asked for
        repositories/<name>/_uploads/<uuid>/intent/purged            the data of an upload that is being purged, ours
        repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link           a manifest: sha256:<hex>, no newline
        repositories/<name>/_manifests/tags/<tag>/current/link                    the manifest that it names; the same
        repositories/<name>/_manifests/tags/<tag>/current/digest                  by which digest it was pushed, ours
        repositories/<name>/_manifests/tags/<tag>/index/<algorithm>/<hex>/link    what it has named; the same
        repositories/<name>/_manifests/referrers/<algorithm>/<hex>/<algorithm>/<hex>/referrer
                                                                     the second refers to the first, ours
    layerstore/                                                      a registry does not look here, ours
        quarantine/sha256/<hex>/<time>                               a damaged blob
        trash/sha256/<hex>/<random>                                  a blob about to be deleted, or to be put back
        trash/deleted/<random>                                       a removed blob or link, yet to be deleted

Names, ids and digests are checked here, before a key is built from them.
"""

import re
import uuid as uuids
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from layerstore.digest import TARSUM, Digest
from layerstore.errors import InvalidNameError, InvalidUploadIDError

ROOT: Final = "docker/registry/v2"
REPOSITORIES: Final = f"{ROOT}/repositories"
BLOBS: Final = f"{ROOT}/blobs"
OURS: Final = "layerstore"
QUARANTINE: Final = f"{OURS}/quarantine/sha256"
TRASH: Final = f"{OURS}/trash/sha256"
DELETED: Final = f"{OURS}/trash/deleted"

MAX_NAME: Final = 255
"""Longest repository name, in characters."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_BELOW_LINK = re.compile(r"(.*/_(?:layers|manifests)/(?:.*/)?(?:[0-9a-f]{64,128}|current)/link)/")
_NOTE = re.compile(
    r"/_manifests/(?:referrers/(?:[a-z0-9]+/[0-9a-f]{64,128}/){2}referrer|tags/[A-Za-z0-9_][^/]*/current/digest)\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def check_name(name: str) -> str:
    """Return a repository name unchanged.

    Raises:
        InvalidNameError: not 1 to 255 characters of the OCI distribution specification's ``<name>`` grammar.
    """
    if len(name) > MAX_NAME:
        raise InvalidNameError(name[:40] + "...", f"{len(name)} characters, at most {MAX_NAME}")
    if not is_name(name):
        raise InvalidNameError(name, "lower-case letters and digits, joined by single . _ __ - or /")
    return name


def is_name(name: str) -> bool:
    """Return whether a text is a repository name."""
    return len(name) <= MAX_NAME and _NAME.match(name) is not None


def is_tag(text: str) -> bool:
    """Return whether a text is a tag, by the OCI distribution specification's grammar."""
    return _TAG.match(text) is not None


def check_uuid(uuid: str) -> str:
    """Return an upload id unchanged.

    Raises:
        InvalidUploadIDError: not a UUID in lower case with dashes.
    """
    if not _UUID.match(uuid):
        raise InvalidUploadIDError(uuid)
    return uuid


def blob(digest: Digest) -> str:
    """Return the key of the bytes whose sha256 this is.

    Raises:
        ValueError: it is of another algorithm; under a tarsum, for example, other bytes could replace the blob.
    """
    if digest.algorithm != "sha256":
        raise ValueError(f"a blob lies under its sha256, not under {digest}")
    return f"{BLOBS}/sha256/{digest.hex[:2]}/{digest.hex}/data"


def quarantined(digest: Digest, at: datetime) -> str:
    """Return the key to which a damaged blob is moved; ``at`` is the time, in UTC."""
    return f"{QUARANTINE}/{digest.hex}/{at:%Y%m%dT%H%M%S.%fZ}"


def trashed(digest: Digest) -> str:
    """Return a new key to which a blob is moved before it is deleted."""
    return f"{TRASH}/{digest.hex}/{uuids.uuid4().hex}"


def deleted() -> str:
    """Return a new key to which a blob or a link is moved so that no tool finds it any more."""
    return f"{DELETED}/{uuids.uuid4().hex}"


def layers(name: str) -> str:
    """Return the prefix of a repository's links."""
    return f"{REPOSITORIES}/{check_name(name)}/_layers"


def links(name: str, algorithm: str) -> str:
    """Return the prefix of a repository's links of one digest algorithm."""
    return f"{layers(name)}/{'tarsum/v1/sha256' if algorithm == TARSUM else algorithm}"


def link(name: str, digest: Digest) -> str:
    """Return the key of a repository's link for a digest."""
    return f"{links(name, digest.algorithm)}/{digest.hex}/link"


def link_above(path: str) -> str | None:
    """Return the key of a link, if a path leads through it as through a directory; else None.

    A directory in the place of a link must not be ignored, even an empty one: the link that should be there may keep a
    blob in use.
    """
    found = _BELOW_LINK.match(path)
    return found[1] if found else None


def manifests(name: str) -> str:
    """Return the prefix of a repository's manifests and tags."""
    return f"{REPOSITORIES}/{check_name(name)}/_manifests"


def revision(name: str, digest: Digest) -> str:
    """Return the key of a repository's link to a manifest."""
    return f"{manifests(name)}/revisions/{digest.algorithm}/{digest.hex}/link"


def tags(name: str) -> str:
    """Return the prefix of a repository's tags."""
    return f"{manifests(name)}/tags"


def tag(name: str, text: str) -> str:
    """Return the key of the link to what a tag stands for.

    Raises:
        ValueError: no tag.
    """
    if not is_tag(text):
        raise ValueError(f"{text!r} is no tag")
    return f"{tags(name)}/{text}/current/link"


def tag_digest(name: str, text: str) -> str:
    """Return the key under which is noted by which digest, other than a sha256, a tag was pushed.

    Raises:
        ValueError: no tag.
    """
    return f"{tag(name, text).removesuffix('/link')}/digest"


def tag_entry(name: str, text: str, digest: Digest) -> str:
    """Return the key of the link by which a registry remembers what a tag has stood for.

    Raises:
        ValueError: no tag.
    """
    return f"{tag(name, text).removesuffix('/current/link')}/index/{digest.algorithm}/{digest.hex}/link"


def referrers(name: str, subject: Digest) -> str:
    """Return the prefix of the manifests that refer to another one as their subject."""
    return f"{manifests(name)}/referrers/{subject.algorithm}/{subject.hex}"


def referrer(name: str, subject: Digest, digest: Digest) -> str:
    """Return the key of what is remembered of a manifest that refers to another one.

    It is not called ``link``: whatever is, below ``_manifests``, a registry takes for a manifest's.
    """
    return f"{referrers(name, subject)}/{digest.algorithm}/{digest.hex}/referrer"


def is_note(key: str) -> bool:
    """Return whether a key is one of :func:`referrer` or :func:`tag_digest`, which only layerstore has."""
    return _NOTE.search(key) is not None


def uploads(name: str) -> str:
    """Return the prefix of a repository's uploads."""
    return f"{REPOSITORIES}/{check_name(name)}/_uploads"


@dataclass(frozen=True, slots=True)
class UploadKeys:
    """The keys of one upload."""

    name: str
    uuid: str

    def __post_init__(self) -> None:
        """Check both before any key is built."""
        check_name(self.name)
        check_uuid(self.uuid)

    @property
    def prefix(self) -> str:
        """Everything that belongs to the upload lies below this."""
        return f"{uploads(self.name)}/{self.uuid}"

    @property
    def started_at(self) -> str:
        """The upload exists while this key does."""
        return f"{self.prefix}/startedat"

    @property
    def data(self) -> str:
        """The bytes so far."""
        return f"{self.prefix}/data"

    @property
    def state(self) -> str:
        """The saved hash states."""
        return f"{self.prefix}/state"

    @property
    def intents(self) -> str:
        """The prefix of the intents of finishes that were begun."""
        return f"{self.prefix}/intent"

    def intent(self, canonical: Digest) -> str:
        """Return the key of the intent to finish as this digest."""
        return f"{self.intents}/{canonical.hex}"

    @property
    def purged(self) -> str:
        """Where a purge parks the data. It lies below the intents, so the upload, without data, cannot be resumed."""
        return f"{self.intents}/purged"
