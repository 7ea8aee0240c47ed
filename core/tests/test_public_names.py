"""A program can import all types from layerstore, and decides itself what is logged."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import layerstore
from layerstore import errors

PYTHON = {"Any", "Buffer", "Callable", "ClassVar", "ForwardRef", "Generator", "Iterator", "Mapping", "None", "Self"}
STREAMS = {"Reads", "ReadsInto"}
"""Protocols of streams that an upload can read: programs need not name these, since streams have their own types."""


def named(kind: type) -> Iterator[str]:
    """Yield the names in the annotations of a class's public attributes and methods."""
    yield from (str(each) for name, each in inspect.get_annotations(kind).items() if not name.startswith("_"))
    for name, member in inspect.getmembers(kind):
        function = member.fget if isinstance(member, property) else member
        if not name.startswith("_") and inspect.isroutine(function) and hasattr(function, "__annotations__"):
            yield from map(str, function.__annotations__.values())


CLASSES = [name for name in layerstore.__all__ if inspect.isclass(getattr(layerstore, name))]


@pytest.mark.parametrize("name", CLASSES)
def test_all_that_a_public_class_names_is_public(name: str) -> None:
    """The types of its methods and attributes can be imported from layerstore."""
    words = {word for text in named(getattr(layerstore, name)) for word in re.findall(r"\b[A-Z]\w+", text)}
    assert words - PYTHON - STREAMS - set(layerstore.__all__) == set()


def test_a_program_that_configures_no_logging_sees_none() -> None:
    """Warnings go to the logger ``layerstore``, and from there to whatever the program has set up."""
    warn = "import logging, layerstore; logging.getLogger('layerstore').warning('beware')"
    words = [sys.executable, "-c", f"{warn}; logging.basicConfig(); logging.getLogger('layerstore').warning('seen')"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING:layerstore:seen\n"


@pytest.mark.parametrize("module", [layerstore, errors])
@pytest.mark.parametrize(("old", "new"), [(old, kind.__name__) for old, kind in errors.RENAMED.items()])
def test_an_old_name_works_and_says_which_to_use(module: ModuleType, old: str, new: str) -> None:
    """A program that catches an error by its old name goes on working."""
    with pytest.warns(DeprecationWarning, match=f"^{old} is deprecated: use {new}$") as caught:
        kind = getattr(module, old)
    assert kind is getattr(layerstore, new)
    assert {Path(each.filename) for each in caught} == {Path(__file__)}


@pytest.mark.parametrize("module", [layerstore, errors])
def test_a_name_that_never_was_is_refused(module: ModuleType) -> None:
    """It is an ordinary missing attribute."""
    with pytest.raises(AttributeError, match=f"^module '{module.__name__}' has no attribute 'Nothing'$"):
        _ = module.Nothing


def test_old_names_are_importable_with_a_warning_at_the_import() -> None:
    """The warning shows the line of the program that has to change."""
    words = [sys.executable, "-W", "always", "-c", "from layerstore import LayerUploadUnknownError"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    said = {line for line in done.stderr.splitlines() if not line.startswith(" ")}  # Python 3.13 shows the line itself
    assert said == {"<string>:1: DeprecationWarning: LayerUploadUnknownError is deprecated: use UnknownUploadError"}
