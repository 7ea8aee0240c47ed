"""A local store whose files were made again, as after a loss of power: with other inode numbers, and times of change.

The records and saved hash states that name them are written with the new ones, and the records as those of an earlier
run of the system, so that the driver believes exactly what it would after a real loss of power.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from layerstore import layout
from layerstore.hashing import uploadstate
from layerstore_conformance.powerloss.losses import Rebuilt
from layerstore_drivers.local import record

GONE = 1 << 60
"""Added to the number of a file that the loss has taken: no other may have it."""


def rebuilt(top: Path, numbers: Mapping[int, Rebuilt]) -> None:
    """Have a store be as after a real loss of power."""
    renumber(top, numbers)
    end_renames(top)


def renumber(top: Path, numbers: Mapping[int, Rebuilt]) -> None:
    """Write the new numbers of files where the driver has noted the old ones."""
    for path in (top / ".layerstore" / "writers").glob("*"):
        _rewrite(path, _renumbered_record(path.read_bytes(), numbers))
    for path in (top / layout.REPOSITORIES).glob("**/_uploads/*/state"):
        _rewrite(path, _renumbered_state(path.read_bytes(), numbers))


def _rewrite(path: Path, content: bytes) -> None:
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _renumbered_record(content: bytes, numbers: Mapping[int, Rebuilt]) -> bytes:
    changed = bytearray(content)
    for at in (0, record.BLOCK):
        state = record._decode(content[at : at + record._SLOT.size])
        if state and state.now.inode:
            version, now = _renumbered(state.version, numbers), _renumbered(state.now, numbers)
            former = _renumbered(record.NOTHING._replace(inode=state.former), numbers).inode if state.former else 0
            new = state._replace(version=version, now=now, former=former, boot=b"an earlier run..")
            changed[at : at + record._SLOT.size] = record._encode(new)
    return bytes(changed)


def _renumbered(identity: record.Identity, numbers: Mapping[int, Rebuilt]) -> record.Identity:
    new = numbers.get(identity.inode)
    if new is None:
        return identity._replace(inode=GONE + identity.inode)
    ctime_ns = new.ctime_ns if identity.ctime_ns == new.kept_ctime_ns else identity.ctime_ns
    return identity._replace(inode=new.number, ctime_ns=ctime_ns)


def _renumbered_state(content: bytes, numbers: Mapping[int, Rebuilt]) -> bytes:
    try:
        body = json.loads(content)
        checksum = body.pop("checksum")
    except ValueError:
        return content
    assert checksum == uploadstate._checksum(body), "a state that was put is whole"
    version = record.Identity(*(int(number, 16) for number in body["version"].split("-")))
    body["version"] = str(_renumbered(version, numbers))
    return json.dumps(body | {"checksum": uploadstate._checksum(body)}).encode("ascii")


def end_renames(top: Path) -> None:
    """Remove the temporary names that objects have kept, as the first write of a driver does.

    That changes the version of such an object, once: a purge under way passes over it, and the next one does not.
    """
    for path in (top / ".layerstore" / "tmp").glob("*"):
        if path.stat().st_nlink > 1:
            path.unlink()
