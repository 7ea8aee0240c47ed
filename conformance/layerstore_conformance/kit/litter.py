"""Names that are no keys: a harness's ``foreign`` puts them below a prefix, beside what only its backend can hold.

The name of a directory ends in a slash. In a backend without directories it is that of an object in it.
"""

from __future__ import annotations

from typing import Final

TOLD: Final = (
    *("my repo/", ".hidden/", "\u00e4rger/", ".file", "a file"),
    *("._dir/", ".DS_Stores", "a.DS_Store !", ".nfs", ".nfs00000000000g", ".nfs00000000000a/"),
    *("@eaDirs/", "#recycled/", ".snapshotss/", ".snapshots.bak/", ".zfs", ".zfs2/", ".file._other", "a ._b"),
)
"""Names that a scan yields. Some are nearly harmless."""

HARMLESS: Final = (
    *(".DS_Store", "._key", "._.DS_Store", ".nfs0000000000c0ffee00000001"),
    *("@eaDir/", "#recycle/", ".snapshot/", ".snapshots/"),
)
"""Names that a scan passes over (L6.7). A delete leaves them, too."""


def file_of(name: str) -> str:
    """Return the name of the one file, or object, that makes a name be there."""
    return f"{name}_layers/link" if name.endswith("/") else name
