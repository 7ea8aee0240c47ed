"""The error tree: drawn as it is, every error picklable, every message a sentence."""

import errno
import inspect
import os
import pickle
import re
import socket
import ssl

import pytest

from layerstore import errors
from layerstore.errors import BackendUnavailableError, DriverError, LayerStoreError
from layerstore.fslayer import FSLayer

SAMPLES: dict[str, object] = {
    "actual": 4,
    "detail": "a detail",
    "distribution": "tape-store",
    "distributions": ("tape-one", "tape-two"),
    "driver": "tape",
    "expected": 5,
    "fs_layer": FSLayer("sha256:ab"),
    "known": ("local", "memory"),
    "offset": 6,
    "option": "timeout",
    "size": 7,
    "supported": "1.0",
    "url": "tape://drive",
    "version": "2.0",
}
"""A value for each field, by its name; a field not listed is text, its own name."""


def every_error(root: type[LayerStoreError] = LayerStoreError) -> list[type[LayerStoreError]]:
    """Return the classes of the module, parents first."""
    children = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(found for child in children for found in every_error(child))]


def sample(kind: type[LayerStoreError]) -> LayerStoreError:
    """Make an error of the kind with a telling value in each field."""
    if kind.__init__ is Exception.__init__:
        return kind("a detail")
    fields = [
        name for name in inspect.signature(kind).parameters if name != "subject"
    ]  # it is said in place of the key
    return kind(*(SAMPLES.get(name, name) for name in fields))


def drawn_tree() -> dict[str, tuple[str, str | None]]:
    """Read the docstring's drawing: the layerstore parent and the builtin parent of each class."""
    tree, path = {}, ["Exception"]
    for line in (errors.__doc__ or "").splitlines():
        if drawn := re.match(r"    ([│├└─ ]*)(\w+Error)\b(.*)", line):
            depth = len(drawn[1]) // 4 + 1
            builtin = re.search(r" (LookupError|ValueError)$", drawn[3])
            tree[drawn[2]] = (path[depth - 1], builtin[1] if builtin else None)
            path[depth:] = [drawn[2]]
    return tree


def real_parents(kind: type[LayerStoreError]) -> tuple[str, str | None]:
    """Return the names of a class's parents, as the drawing has them."""
    parent, *builtin = kind.__bases__
    return parent.__name__, builtin[0].__name__ if builtin else None


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    """The drawing names every class once, below its parent, with its builtin parent."""
    assert drawn_tree() == {kind.__name__: real_parents(kind) for kind in every_error()}


def test_no_error_of_the_module_is_outside_the_tree() -> None:
    """Catching ``LayerStoreError`` catches everything that layerstore raises on purpose."""
    declared = {found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, Exception)}
    assert declared == set(every_error())


@pytest.mark.parametrize("kind", every_error())
def test_an_error_pickles_with_its_fields(kind: type[LayerStoreError]) -> None:
    """An error crosses a process boundary whole."""
    error = sample(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("kind", every_error())
def test_an_error_says_every_field(kind: type[LayerStoreError]) -> None:
    """The message is a sentence that holds each of the error's fields."""
    error = sample(kind)
    for value in vars(error).values():
        parts = value if isinstance(value, tuple) else (value,)
        assert all(str(part) in str(error) for part in parts)
    assert len(str(error).split()) >= 2


@pytest.mark.parametrize("kind", [kind for kind in every_error() if issubclass(kind, DriverError)])
def test_a_driver_error_without_driver_and_detail_is_a_sentence_too(kind: type[DriverError]) -> None:
    """An error raised by a driver's author needs the key only."""
    assert str(kind("a/b")) == f"{kind.summary}: 'a/b'"
    assert kind is DriverError or kind.summary != DriverError.summary


def test_a_named_error_is_the_same_error_and_pickles_with_the_name() -> None:
    """Naming the driver keeps traceback and identity."""
    error = errors.PathNotFoundError("a/b", "gone")
    assert error.named("tape") is error
    assert str(pickle.loads(pickle.dumps(error))) == "tape driver: nothing under this key: 'a/b' (gone)"


def test_an_error_about_something_says_that_and_not_the_key() -> None:
    """The message shows no key; the field keeps it, and both pickle."""
    error = errors.FencedError("a/b", "resumed").named("tape").about("upload 1 of repository demo")
    again = pickle.loads(pickle.dumps(error.named("tape")))
    assert (again.key, again.subject) == ("a/b", "upload 1 of repository demo")
    assert str(again) == "tape driver: taken over by another writer: upload 1 of repository demo (resumed)"


def test_an_empty_list_of_what_is_known_reads_as_none() -> None:
    """A message has a word where there is nothing to list."""
    assert "; installed: none; " in str(errors.UnknownDriverError("tape", ()))
    assert str(errors.UnknownOptionError("tape", "speed", ())).endswith("it has: none")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.NoSpaceError),
        (errno.EDQUOT, errors.NoSpaceError),
        (errno.EFBIG, errors.NoSpaceError),
        (errno.EACCES, errors.AccessDeniedError),
        (errno.EPERM, errors.AccessDeniedError),
        (errno.EROFS, errors.AccessDeniedError),
        (errno.ENOENT, BackendUnavailableError),
        (errno.EIO, BackendUnavailableError),
    ],
)
def test_an_operating_system_error_becomes_the_driver_error_that_says_the_same(
    number: int, kind: type[DriverError]
) -> None:
    """Full is full and refused is refused; not found is for the driver to tell from a missing backend (clause E1)."""
    error = errors.from_os_error(OSError(number, "as the driver put it", "/secret/path"), "a/b")
    assert type(error) is kind
    assert (error.key, error.detail) == ("a/b", os.strerror(number))


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (OSError("the tape is torn"), "the tape is torn"),
        (TimeoutError(), ""),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), "the name lookup failed: no such host"),
        (
            socket.gaierror(errno.EPERM, "not a number of the system's"),
            "the name lookup failed: not a number of the system's",
        ),
        (socket.herror(errno.EACCES, "unknown host"), "the name lookup failed: unknown host"),
        (ssl.SSLError(errno.EPERM, "[SSL: X] wrong version (_ssl.c:1006)"), "TLS failed: [SSL: X] wrong version"),
        (ssl.SSLEOFError(errno.ENOSPC, "EOF occurred"), "TLS failed: EOF occurred"),
        (
            ssl.SSLCertVerificationError(errno.EPERM, "it failed"),
            "the server's certificate was not accepted: it failed",
        ),
        (OSError("vendor", "a number that is none"), "a number that is none"),
    ],
)
def test_an_error_without_a_number_of_the_system_says_what_it_can(error: OSError, detail: str) -> None:
    """Errors of TLS, of name lookups and of vendors keep their own text, whatever the system calls their numbers."""
    translated = errors.from_os_error(error, "a/b")
    assert type(translated) is BackendUnavailableError
    assert translated.detail == detail


def test_a_certificate_that_is_not_accepted_says_why() -> None:
    """In the words of the verification, where there are some, and not "Operation not permitted"."""
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")
    error.verify_message = "self-signed certificate"
    detail = errors.from_os_error(error, "a/b").detail
    assert detail == "the server's certificate was not accepted: self-signed certificate"
