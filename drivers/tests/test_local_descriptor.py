"""A local layer's file, for whoever sends it without reading it."""

import os
from pathlib import Path

import pytest

import layerstore
from layerstore_conformance.kit.payloads import Payload, digest

DATA = Payload("descriptor").read(3_000_000)


def test_a_layers_descriptor_holds_its_bytes(tmp_path: Path) -> None:
    """All of them and no more, from its first on, whatever was read of the layer before; it closes with the layer."""
    upload = layerstore.open(f"local:{tmp_path}").upload("a")
    upload.write(DATA)
    with upload.finish(digest(DATA)) as layer:
        layer.read(1000)
        fd = layer.fileno()
        assert os.fstat(fd).st_size == layer.size
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
        assert os.pread(fd, len(DATA), 0) == DATA
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
