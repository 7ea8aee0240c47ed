"""The key grammar (clauses K1 to K3)."""

import re

from layerstore.errors import InvalidPathError

MAX_KEY = 1000
"""Longest key, in bytes."""

MAX_SEGMENT = 255
"""Longest segment between two slashes, in bytes: the limit of every common filesystem."""

MAX_SEGMENTS = 200
"""Most segments: Azure takes 254 in a blob's name, and the prefix of a store's URL needs some of them."""

_KEY = re.compile(r"(?!\.)[A-Za-z0-9._+-]+(?:/(?!\.)[A-Za-z0-9._+-]+)*\Z")

HARMLESS = re.compile(r"\.DS_Store|\._[^/]*|\.nfs[0-9a-f]+|(?:@eaDir|#recycle|lost\+found|\.snapshots?|\.zfs)/")
"""Files, and with a slash directories, that desktops, NAS boxes, file systems and NFS clients leave in directories.

They hold nobody's layers. None can be a repository's name, as ``desktop.ini`` can.
"""


def is_harmless(name: str) -> bool:
    """Return whether a foreign thing may be passed over in silence, by the last segment of its name."""
    return HARMLESS.fullmatch(name[name.rstrip("/").rfind("/") + 1 :]) is not None


def check_key(key: str) -> None:
    """Check that a text is a key.

    Raises:
        InvalidPathError: not 1 to 1,000 bytes of 1 to 200 ``/``-separated segments, each 1 to 255 bytes of
            ``[A-Za-z0-9._+-]`` and not beginning with a dot.
    """
    if len(key) > MAX_KEY:
        raise InvalidPathError(key[:80] + "...", f"{len(key)} characters, at most {MAX_KEY}")
    if not _KEY.match(key):
        detail = "segments of [A-Za-z0-9._+-], not beginning with a dot, separated by single slashes"
        raise InvalidPathError(key, detail)
    segments = key.split("/")
    if len(segments) > MAX_SEGMENTS:
        raise InvalidPathError(key[:80] + "...", f"{len(segments)} segments, at most {MAX_SEGMENTS}")
    longest = max(map(len, segments))
    if longest > MAX_SEGMENT:
        raise InvalidPathError(key[:80] + "...", f"a segment of {longest} characters, at most {MAX_SEGMENT}")


def is_key(text: str) -> bool:
    """Return whether a text is a key; foreign names that a backend may hold are not."""
    try:
        check_key(text)
    except InvalidPathError:
        return False
    return True


def check_prefix(prefix: str) -> None:
    """Check that a text is a prefix: a key, or the empty string for everything.

    Raises:
        InvalidPathError: as :func:`check_key`.
    """
    if prefix:
        check_key(prefix)
