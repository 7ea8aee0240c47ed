"""Bad input: digests, names and ids that are none raise what they should, before any driver call is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from layerstore import (
    Digest,
    InvalidDigestError,
    InvalidNameError,
    InvalidUploadIDError,
    LayerService,
    UnsupportedDigestError,
    UnsupportedTarSumVersionError,
    layout,
    open_driver,
)
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import digest

HEX = "0123456789abcdef" * 4
GOOD = f"sha256:{HEX}"
UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

DIGESTS: dict[str, type[InvalidDigestError]] = {
    "": InvalidDigestError,
    ":": InvalidDigestError,
    "sha256": InvalidDigestError,
    "sha256:": InvalidDigestError,
    f":{HEX}": InvalidDigestError,
    HEX: InvalidDigestError,
    "sha256:../..": InvalidDigestError,
    f"sha256:../../{HEX[6:]}": InvalidDigestError,
    f"../sha256:{HEX}": InvalidDigestError,
    f"sha256:{HEX.upper()}": InvalidDigestError,
    f"SHA256:{HEX}": InvalidDigestError,
    f"sha256:{HEX[1:]}": InvalidDigestError,
    f"sha256:{HEX}0": InvalidDigestError,
    f"sha256:{HEX[1:]}g": InvalidDigestError,
    f"sha256:{HEX[1:]}=": InvalidDigestError,
    f"sha256:{HEX[1:]}\u0661": InvalidDigestError,  # a digit to \d and to int()
    f"sha256:{HEX[1:]}\uff11": InvalidDigestError,
    f"sha256:{HEX}\n": InvalidDigestError,
    f" sha256:{HEX}": InvalidDigestError,
    f"sha256: {HEX}": InvalidDigestError,
    f"sha256:{HEX[1:]}\0": InvalidDigestError,
    f"sha256::{HEX}": InvalidDigestError,
    f"sha256:{HEX}:{HEX}": InvalidDigestError,
    f"sha256+:{HEX}": InvalidDigestError,
    f"sha256/../x:{HEX}": InvalidDigestError,
    f"sha512:{HEX}": InvalidDigestError,
    f"sha384:{HEX}": InvalidDigestError,
    f"tarsum.v1+sha256:{HEX[1:]}": InvalidDigestError,
    f"tarsum.v1+sha256:{HEX.upper()}": InvalidDigestError,
    f"md5:{HEX[:32]}": UnsupportedDigestError,
    f"sha224:{HEX[:56]}": UnsupportedDigestError,
    f"sha3-256:{HEX}": UnsupportedDigestError,
    f"multihash+base58:{HEX}": UnsupportedDigestError,
    f"tarsum+sha256:{HEX}": UnsupportedTarSumVersionError,
    f"tarsum.dev+sha256:{HEX}": UnsupportedTarSumVersionError,
    f"tarsum.v2+sha256:{HEX}": UnsupportedTarSumVersionError,
    f"tarsum.v1+sha512:{HEX * 2}": UnsupportedTarSumVersionError,
    "tarsum+sha256:short": UnsupportedTarSumVersionError,
    "tarsum+sha256:": InvalidDigestError,
    "tarsum.dev+sha256:": InvalidDigestError,
}

NAMES = (
    "",
    "/",
    ".",
    "..",
    "a/..",
    "../a",
    "a/../b",
    "/a",
    "a/",
    "a//b",
    "A",
    "library/Debian",
    "-a",
    "a-",
    "_layers",
    "a/_uploads",
    "a..b",
    "a___b",
    "a._b",
    ".a",
    "a b",
    "a\n",
    "a\0",
    "a:b",
    "a@b",
    "a%2fb",
    "a\\b",
    "b\u00fcro",
    "\u0661",
    "\u212a",  # lower-cased, a k
    "x" * 256,
    "/".join(["ab"] * 86),
)

UUIDS = (
    "",
    ".",
    "..",
    "../../x",
    UUID.upper(),
    f"{{{UUID}}}",
    f"urn:uuid:{UUID}",
    UUID.replace("-", ""),
    UUID[1:],
    f"{UUID}0",
    f"{UUID}\n",
    f" {UUID}",
    f"{UUID[:-1]}g",
    f"{UUID[:-1]}\u0661",
    f"{UUID}/..",
    f"../{UUID}",
    f"{UUID[:-3]}/..",
)


class Calls:
    """An observer that notes every call that is begun."""

    def __init__(self) -> None:
        """Begin noting."""
        self.made: list[Call] = []

    def before(self, call: Call) -> None:
        """Note a call."""
        self.made.append(call)

    def after(self, call: Call, result: object) -> None:
        """Have noted it."""


@pytest.fixture
def calls() -> Calls:
    """Begin noting."""
    return Calls()


@pytest.fixture
def store(calls: Calls) -> LayerService:
    """Open an empty store whose every call is noted."""
    return LayerService(ObservedDriver(open_driver("memory:"), calls))


DIGEST_TAKERS: dict[str, Callable[[LayerService, str], Any]] = {
    "parse": lambda _, text: Digest.parse(text),
    "exists": lambda store, text: store.exists("a", text),
    "fetch": lambda store, text: store.fetch("a", text),
    "upload": lambda store, text: store.upload("a", expected=text),
    "mount": lambda store, text: store.mount("a", text, source="b"),
    "unlink": lambda store, text: store.unlink("a", text),
}

NAME_TAKERS: dict[str, Callable[[LayerService, str], Any]] = {
    "check": lambda _, name: layout.check_name(name),
    "exists": lambda store, name: store.exists(name, GOOD),
    "fetch": lambda store, name: store.fetch(name, GOOD),
    "upload": lambda store, name: store.upload(name),
    "upload expecting": lambda store, name: store.upload(name, expected=GOOD),
    "resume": lambda store, name: store.resume(name, UUID),
    "cancel": lambda store, name: store.cancel(name, UUID),
    "mount to": lambda store, name: store.mount(name, GOOD, source="b"),
    "mount from": lambda store, name: store.mount("a", GOOD, source=name),
    "unlink": lambda store, name: store.unlink(name, GOOD),
    "layers": lambda store, name: list(store.layers(name)),
    "uploads": lambda store, name: list(store.uploads(name)),
}

UUID_TAKERS: dict[str, Callable[[LayerService, str], Any]] = {
    "check": lambda _, uuid: layout.check_uuid(uuid),
    "resume": lambda store, uuid: store.resume("a", uuid),
    "resume at": lambda store, uuid: store.resume("a", uuid, offset=0),
    "cancel": lambda store, uuid: store.cancel("a", uuid),
}


@pytest.mark.parametrize("take", DIGEST_TAKERS.values(), ids=DIGEST_TAKERS)
@pytest.mark.parametrize(("text", "kind"), DIGESTS.items(), ids=map(ascii, DIGESTS))
def test_what_is_no_digest_is_refused(
    store: LayerService, calls: Calls, text: str, kind: type[InvalidDigestError], take: Callable[..., Any]
) -> None:
    """The error is of the right kind and holds the text, and storage was not touched."""
    with pytest.raises(InvalidDigestError) as caught:
        take(store, text)
    assert (type(caught.value), caught.value.text) == (kind, text)
    assert isinstance(caught.value, ValueError)
    assert calls.made == []


@pytest.mark.parametrize(("text", "kind"), DIGESTS.items(), ids=map(ascii, DIGESTS))
def test_a_finish_with_what_is_no_digest_costs_nothing(
    store: LayerService, calls: Calls, text: str, kind: type[InvalidDigestError]
) -> None:
    """The upload is as it was, and nothing of it was flushed or read."""
    upload = store.upload("a")
    upload.write(b"bytes")
    made = len(calls.made)
    with pytest.raises(kind):
        upload.finish(text)
    assert len(calls.made) == made
    upload.finish(digest(b"bytes"), 5)


@pytest.mark.parametrize("take", NAME_TAKERS.values(), ids=NAME_TAKERS)
@pytest.mark.parametrize("name", NAMES, ids=map(ascii, NAMES))
def test_what_is_no_name_is_refused(
    store: LayerService, calls: Calls, name: str, take: Callable[[LayerService, str], Any]
) -> None:
    """The error holds the name, cut to what can be read, and storage was not touched."""
    with pytest.raises(InvalidNameError) as caught:
        take(store, name)
    assert caught.value.text.removesuffix("...") in name
    assert len(str(caught.value)) < 200
    assert calls.made == []


@pytest.mark.parametrize("take", UUID_TAKERS.values(), ids=UUID_TAKERS)
@pytest.mark.parametrize("uuid", UUIDS, ids=map(ascii, UUIDS))
def test_what_is_no_upload_id_is_refused(
    store: LayerService, calls: Calls, uuid: str, take: Callable[[LayerService, str], Any]
) -> None:
    """The error holds the id, and storage was not touched."""
    with pytest.raises(InvalidUploadIDError) as caught:
        take(store, uuid)
    assert caught.value.text == uuid
    assert calls.made == []


@pytest.mark.parametrize("bad", [None, 5, b"sha256:"])
def test_what_is_no_text_is_refused(store: LayerService, calls: Calls, bad: str) -> None:
    """A mistake in the program is a ``TypeError``, and storage was not touched."""
    for take in (DIGEST_TAKERS["exists"], NAME_TAKERS["exists"], UUID_TAKERS["resume"]):
        with pytest.raises(TypeError):
            take(store, bad)
    assert calls.made == []


def test_an_error_names_what_was_wanted() -> None:
    """The message says what form a digest must have."""
    with pytest.raises(InvalidDigestError, match="sha512 takes 128 hex digits in lower case"):
        Digest.parse(f"sha512:{HEX}")
    with pytest.raises(UnsupportedDigestError, match=r"not one of sha256, sha384, sha512, tarsum\.v1\+sha256"):
        Digest.parse(f"md5:{HEX[:32]}")
    with pytest.raises(UnsupportedTarSumVersionError, match=r"only tarsum\.v1\+sha256 is verified"):
        Digest.parse(f"tarsum+sha256:{HEX}")
