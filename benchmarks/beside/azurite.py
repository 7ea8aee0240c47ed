"""What layerstore makes of an Azurite, beside the SDK alone: ratios of medians, all in one interleaved run.

    LAYERSTORE_AZURITE=... python benchmarks/beside/azurite.py [--size MIB] [--rounds N]

Uploading: ``LayerService`` in writes of 1 MiB, hashed, verified and committed, against ``upload_blob`` of the same
bytes, neither hashed nor checked, at block sizes of 4, 8 and 16 MiB and 1, 2 and 4 blocks at once; the fastest counts.

Reading back: a driver's reader and a sha256, as ``verify="reread"`` does it, against ``download_blob().readall()`` in
ranges of 16 MiB without a hash, 1, 2 and 4 at once, the fastest; and against one streamed GET and a sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from urllib.request import urlopen

from azure.storage.blob import BlobClient, BlobSasPermissions, BlobServiceClient, generate_blob_sas

import layerstore
from layerstore import LayerService
from layerstore.spool import measure
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.options import EMULATOR_ACCOUNT

MIB = 1 << 20
KEY = {"account_name": EMULATOR_ACCOUNT, "account_key": EMULATOR_KEY}
Act = Callable[[], None]


def upload(store: LayerService, data: bytes, wanted: str) -> None:
    """Upload a layer; that it is there already spares nothing: its bytes are stored, hashed and moved all the same."""
    with store.upload("bench") as handle, memoryview(data) as view:
        for start in range(0, len(data), MIB):
            handle.write(view[start : start + MIB])
        layer = handle.finish(wanted)
    layer.close()


def read_back(store: LayerService, key: str, wanted: str) -> None:
    """Read an object by the driver, and hash it."""
    with store.driver.open_reader(key) as reader:
        assert str(measure(reader, layerstore.Digest.parse(wanted))) == wanted


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


def contestants(server: Azurite, store: LayerService, data: bytes) -> dict[str, Act]:
    """Return what is timed, by name."""
    wanted = f"sha256:{hashlib.sha256(data).hexdigest()}"
    uploads = {
        f"SDK upload {block} MiB x {at_once}": partial(sdk_upload, server.endpoint, data, block, at_once)
        for block, at_once in product((4, 8, 16), (1, 2, 4))
    }
    reads = {f"SDK read 16 MiB x {at_once}": partial(sdk_read, server.endpoint, at_once) for at_once in (1, 2, 4)}
    return {
        "layerstore upload": partial(upload, store, data, wanted),
        **uploads,
        "layerstore read back": partial(read_back, store, "read-back", wanted),
        **reads,
        "raw GET and sha256": partial(raw_read, signed(server.endpoint), wanted),
    }


def timed(data: bytes, rounds: int) -> dict[str, list[float]]:
    """Do all of it in every round, in an order of its own, on a new server; the first round is not counted."""
    times: dict[str, list[float]] = {}
    chance, acts = random.Random(0), dict[str, Act]()
    for number in range(rounds + 1):
        with Azurite() as server, layerstore.open(server.url("bench", create_container="true")) as store:
            acts = prepared(server, store, data)
            for name in chance.sample(list(acts), len(acts)):
                begun = time.perf_counter()
                acts[name]()
                if number:
                    times.setdefault(name, []).append(time.perf_counter() - begun)
    return {name: times[name] for name in acts}


def prepared(server: Azurite, store: LayerService, data: bytes) -> dict[str, Act]:
    """Store what is read, and return what is timed."""
    with store.driver.open_writer("read-back") as writer:  # makes the container
        writer.write(data)
    sdk_upload(server.endpoint, data, 8, 4)
    return contestants(server, store, data)


def ratios(medians: dict[str, float]) -> dict[str, float]:
    """Return ours over theirs; of several settings of theirs the fastest."""
    fastest = {
        what: min(medians[name] for name in medians if name.startswith(f"SDK {what}")) for what in ("upload", "read")
    }
    return {
        "upload / SDK": medians["layerstore upload"] / fastest["upload"],
        "read back / SDK": medians["layerstore read back"] / fastest["read"],
        "read back / raw GET and sha256": medians["layerstore read back"] / medians["raw GET and sha256"],
    }


def main() -> None:
    """Run, and print the medians, the ratios and, as JSON, everything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=256, help="MiB; 256 unless given")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    chance = random.Random(1)
    data = b"".join(chance.randbytes(MIB) for _ in range(given.size))
    times = timed(data, given.rounds)
    medians = {name: statistics.median(each) for name, each in times.items()}
    report = [f"{name:32} {median:7.3f} s {given.size / median:8.0f} MiB/s" for name, median in medians.items()]
    report += [f"{name:32} {ratio:7.2f}" for name, ratio in ratios(medians).items()]
    sys.stdout.write("\n".join([*report, json.dumps({"size_mib": given.size, "seconds": times})]) + "\n")


if __name__ == "__main__":
    main()
