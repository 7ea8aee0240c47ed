"""What layerstore makes of a SeaweedFS, or a moto, beside the SDK's managed transfer: ratios of medians, in one run.

    python benchmarks/beside/s3.py [--server seaweedfs] [--size MIB] [--rounds N] [--json FILE]

Uploading: ``LayerService`` in writes of 1 MiB, hashed, verified and committed, against ``upload_fileobj`` of the same
bytes, neither hashed nor verified, with parts of 8 and 16 MiB and 1, 4 and 8 at once; the fastest counts.

Reading back: a driver's reader and a sha256, as ``verify="reread"`` does it, against ``download_fileobj`` without a
hash, in ranges of 8 and 16 MiB and 1, 4 and 8 at once, the fastest; and against one streamed GET and a sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boto3.s3.transfer import TransferConfig
from described import Recorder
from findings import Group, keep, line
from work import MIB, at_most, pieces_in, read_back, touch, upload

import layerstore
from layerstore import LayerService
from layerstore_benchmarks.document import environment
from layerstore_drivers.s3.servers import SERVERS, Server

SETTINGS = tuple(product((8, 16), (1, 4, 8)))
"""MiB of a part, and parts at once."""

Act = Callable[[], None]
Client = Any
"""boto3 makes its classes when they are asked for."""


def managed(part: int, at_once: int) -> TransferConfig:
    """Configure the SDK's transfers."""
    size = part * MIB
    return TransferConfig(multipart_threshold=size, multipart_chunksize=size, max_concurrency=at_once)


def sdk_upload(client: Client, data: bytes, part: int, at_once: int) -> None:
    """Store bytes by the SDK alone."""
    client.upload_fileobj(BytesIO(data), "bench", "sdk", Config=managed(part, at_once))


def sdk_read(client: Client, part: int, at_once: int) -> None:
    """Read an object by the SDK alone."""
    client.download_fileobj("bench", "sdk", BytesIO(), Config=managed(part, at_once))


def raw_read(client: Client, wanted: str) -> None:
    """Read an object in one GET, and hash it."""
    digest = hashlib.sha256()
    for chunk in client.get_object(Bucket="bench", Key="sdk")["Body"].iter_chunks(MIB):
        digest.update(chunk)
    assert f"sha256:{digest.hexdigest()}" == wanted


def contestants(client: Client, store: LayerService, data: bytes) -> dict[str, Act]:
    """Return what is timed, by name."""
    wanted = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {
        "layerstore upload": partial(upload, store, pieces_in(data), wanted),
        **{f"SDK upload {part} MiB x {many}": partial(sdk_upload, client, data, part, many) for part, many in SETTINGS},
        "layerstore read back": partial(read_back, store, "read-back", wanted),
        **{f"SDK read {part} MiB x {many}": partial(sdk_read, client, part, many) for part, many in SETTINGS},
        "raw GET and sha256": partial(raw_read, client, wanted),
    }


def one_round(kind: type[Server], data: bytes, chance: random.Random) -> dict[str, float]:
    """Do all of it once, in an order of its own, on a new server."""
    taken = {}
    with TemporaryDirectory() as folder, kind(Path(folder)) as server:
        client = server.client()
        client.create_bucket(Bucket="bench")
        with layerstore.open(server.url("bench")) as store:
            acts = prepared(client, store, data)
            for name in chance.sample(list(acts), len(acts)):
                touch(2 * len(data))
                begun = time.perf_counter()
                acts[name]()
                taken[name] = time.perf_counter() - begun
        client.close()
    return {name: taken[name] for name in acts}


def prepared(client: Client, store: LayerService, data: bytes) -> dict[str, Act]:
    """Store what is read, and return what is timed."""
    with store.driver.open_writer("pieces") as writer:
        writer.write(data)
    store.driver.move("pieces", "read-back")  # as a finished layer lies there
    sdk_upload(client, data, 8, 4)
    return contestants(client, store, data)


def timed(kind: type[Server], data: bytes, rounds: int, recorder: Recorder) -> dict[str, list[float]]:
    """Do all of it in every round; the first one is watched, not counted."""
    times: dict[str, list[float]] = {}
    chance = random.Random(0)
    with recorder.listening():
        one_round(kind, data, chance)
    for _ in range(rounds):
        for name, taken in one_round(kind, data, chance).items():
            times.setdefault(name, []).append(taken)
    return times


def group(kind: type[Server], seconds: dict[str, list[float]], size: int, rounds: int, recorder: Recorder) -> Group:
    """Compare medians: ours with theirs; of several settings of theirs, with the fastest."""
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    fastest = {
        what: min(medians[name] for name in medians if name.startswith(f"SDK {what}")) for what in ("upload", "read")
    }
    sent, read, raw = (medians[name] for name in ("layerstore upload", "layerstore read back", "raw GET and sha256"))
    ratio = "over the SDK's fastest managed transfer"
    findings = [
        at_most(f"S3. upload of {size} MiB, {ratio}", 1.10, sent / fastest["upload"], seconds),
        at_most(f"S3. reading back {size} MiB, {ratio}", 1.0, read / fastest["read"], {}),
        at_most(f"S3. reading back {size} MiB, over one GET and a sha256", 1.5, read / raw, {}),
    ]
    made = {**environment(), "filesystem": kind.__name__}
    return {"environment": made, "size_mib": size, "rounds": rounds, "findings": findings, "code": recorder.code()}


def main() -> None:
    """Run, and print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=sorted(SERVERS), default="seaweedfs")
    parser.add_argument("--size", type=int, default=256, help="MiB; 256 unless given")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    kind, chance, recorder = SERVERS[given.server], random.Random(1), Recorder()
    data = b"".join(chance.randbytes(MIB) for _ in range(given.size))
    seconds = timed(kind, data, given.rounds, recorder)
    found = group(kind, seconds, given.size, given.rounds, recorder)
    medians = ((name, statistics.median(each)) for name, each in seconds.items())
    report = [f"{name:32} {median:7.3f} s {given.size / median:8.0f} MiB/s" for name, median in medians]
    sys.stdout.write("\n".join([*report, *map(line, found["findings"])]) + "\n")
    if given.json is not None:
        keep(given.json, given.server, found)


if __name__ == "__main__":
    main()
