"""What layerstore makes of an Azurite, beside the SDK alone: ratios of medians, all in one interleaved run.

    LAYERSTORE_AZURITE=... python benchmarks/beside/azurite.py [--size MIB] [--rounds N] [--json FILE]

Uploading: ``LayerService`` in writes of 1 MiB, hashed, verified and committed, with an MD5 of each block and without,
against ``upload_blob`` of the same bytes, neither hashed nor checked, at block sizes of 4, 8 and 16 MiB and 1, 2 and 4
blocks at once; the fastest counts.

Reading back: a driver's reader and a sha256, as ``verify="reread"`` does it, against ``download_blob().readall()`` in
ranges of 16 MiB without a hash, 1, 2 and 4 at once, the fastest; and against one streamed GET and a sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from urllib.request import urlopen

from azure.storage.blob import BlobClient, BlobSasPermissions, BlobServiceClient, generate_blob_sas
from described import Recorder
from findings import Group, keep, line
from work import MIB, at_most, pieces_in, read_back, touch, upload

import layerstore
from layerstore import LayerService
from layerstore_benchmarks.document import environment
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.options import EMULATOR_ACCOUNT

KEY = {"account_name": EMULATOR_ACCOUNT, "account_key": EMULATOR_KEY}
Act = Callable[[], None]


def sdk_upload(endpoint: str, data: bytes, block: int, at_once: int) -> None:
    """Store bytes by the SDK alone, in blocks."""
    with BlobServiceClient(endpoint, KEY, max_block_size=block * MIB, max_single_put_size=block * MIB) as service:
        service.get_blob_client("bench", "sdk").upload_blob(data, overwrite=True, max_concurrency=at_once)


def sdk_read(endpoint: str, at_once: int) -> None:
    """Read a blob by the SDK alone, in ranges of 16 MiB."""
    with BlobServiceClient(endpoint, KEY, max_chunk_get_size=16 * MIB, max_single_get_size=16 * MIB) as service:
        service.get_blob_client("bench", "sdk").download_blob(max_concurrency=at_once).readall()


def raw_read(url: str, wanted: str) -> None:
    """Read a blob in one GET, and hash it."""
    with urlopen(url) as response:  # noqa: S310  (http, of an emulator of our own)
        assert f"sha256:{hashlib.file_digest(response, 'sha256').hexdigest()}" == wanted


def signed(endpoint: str) -> str:
    """Return a URL by which the SDK's blob can be read, for an hour."""
    signature = generate_blob_sas(
        EMULATOR_ACCOUNT,
        "bench",
        "sdk",
        account_key=EMULATOR_KEY,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"{BlobClient(endpoint, 'bench', 'sdk').url}?{signature}"


def contestants(server: Azurite, store: LayerService, bare: LayerService, data: bytes) -> dict[str, Act]:
    """Return what is timed, by name."""
    wanted = f"sha256:{hashlib.sha256(data).hexdigest()}"
    pieces = pieces_in(data)
    uploads = {
        f"SDK upload {block} MiB x {at_once}": partial(sdk_upload, server.endpoint, data, block, at_once)
        for block, at_once in product((4, 8, 16), (1, 2, 4))
    }
    reads = {f"SDK read 16 MiB x {at_once}": partial(sdk_read, server.endpoint, at_once) for at_once in (1, 2, 4)}
    return {
        "layerstore upload, MD5": partial(upload, store, pieces, wanted),
        "layerstore upload, no checksum": partial(upload, bare, pieces, wanted),
        **uploads,
        "layerstore read back": partial(read_back, store, "read-back", wanted),
        **reads,
        "raw GET and sha256": partial(raw_read, signed(server.endpoint), wanted),
    }


def timed(data: bytes, rounds: int, recorder: Recorder) -> dict[str, list[float]]:
    """Do all of it in every round, in an order of its own, on a new server; the first round is watched, not counted."""
    times: dict[str, list[float]] = {}
    chance = random.Random(0)
    with recorder.listening():
        one_round(data, chance)
    for _ in range(rounds):
        for name, taken in one_round(data, chance).items():
            times.setdefault(name, []).append(taken)
    return times


def one_round(data: bytes, chance: random.Random) -> dict[str, float]:
    """Do all of it once."""
    taken = {}
    with (
        Azurite() as server,
        layerstore.open(server.url("bench", create_container="true")) as store,
        layerstore.open(server.url("bench", checksum="none")) as bare,
    ):
        acts = prepared(server, store, bare, data)
        for name in chance.sample(list(acts), len(acts)):
            touch(2 * len(data))
            begun = time.perf_counter()
            acts[name]()
            taken[name] = time.perf_counter() - begun
    return {name: taken[name] for name in acts}


def prepared(server: Azurite, store: LayerService, bare: LayerService, data: bytes) -> dict[str, Act]:
    """Store what is read, and return what is timed."""
    with store.driver.open_writer("read-back") as writer:  # makes the container
        writer.write(data)
    sdk_upload(server.endpoint, data, 8, 4)
    return contestants(server, store, bare, data)


def group(seconds: dict[str, list[float]], size: int, rounds: int, recorder: Recorder) -> Group:
    """Compare medians: ours with theirs; of several settings of theirs, with the fastest."""
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    fastest = {
        what: min(medians[name] for name in medians if name.startswith(f"SDK {what}")) for what in ("upload", "read")
    }
    read, raw = medians["layerstore read back"], medians["raw GET and sha256"]
    md5, bare = (medians[f"layerstore upload, {how}"] / fastest["upload"] for how in ("MD5", "no checksum"))
    findings = [
        at_most(f"9. upload of {size} MiB with an MD5 of each block, over the SDK's fastest", 1.2, md5, seconds),
        at_most(f"9. upload of {size} MiB without checksums of blocks, over the SDK's fastest", 1.05, bare, {}),
        at_most(f"9. reading back {size} MiB, over the SDK's fastest", 1.0, read / fastest["read"], {}),
        at_most(f"9. reading back {size} MiB, over one GET and a sha256", 1.5, read / raw, {}),
    ]
    made = {**environment(), "filesystem": "Azurite"}
    return {"environment": made, "size_mib": size, "rounds": rounds, "findings": findings, "code": recorder.code()}


def main() -> None:
    """Run, and print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=256, help="MiB; 256 unless given")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chance, recorder = random.Random(1), Recorder()
    data = b"".join(chance.randbytes(MIB) for _ in range(given.size))
    seconds = timed(data, given.rounds, recorder)
    found = group(seconds, given.size, given.rounds, recorder)
    medians = ((name, statistics.median(each)) for name, each in seconds.items())
    report = [f"{name:32} {median:7.3f} s {given.size / median:8.0f} MiB/s" for name, median in medians]
    sys.stdout.write("\n".join([*report, *map(line, found["findings"])]) + "\n")
    if given.json is not None:
        keep(given.json, "azurite", found)


if __name__ == "__main__":
    main()
