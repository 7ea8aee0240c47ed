"""Ctrl-C at every line of an upload's calls, once and twice: the upload goes on, nothing stays locked, and all ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

ATTACK = '''
import hashlib, itertools, os, signal, sys
from pathlib import Path
import layerstore
from layerstore.threads import turns

DATA = bytes(range(256)) * int(sys.argv[2])
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()

# A signal's handler is run where a call begins or has returned. Between these, as in what turns.py does last, a line of
# its own is no such place, and an exception there would be none that a signal can raise.
PASSED = {turns.__file__}
SOURCES = str(Path(layerstore.__file__).parent) + os.sep  # the drivers' may lie beside it
LIBRARY = str(Path(signal.__file__).parent) + os.sep


class Interruption:
    """Raises KeyboardInterrupt at the line that is run after so many."""

    def __init__(self, lines):
        self.left = lines

    def __call__(self, frame, event, argument):
        name = frame.f_code.co_filename
        if name in PASSED or not name.startswith((SOURCES, LIBRARY)):
            return None
        if event == "line":
            self.left -= 1
            if self.left == -1:
                raise KeyboardInterrupt
        return self

    def during(self, action):
        try:
            sys.settrace(self)
            action()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        return self.left < 0


def write(store, upload):
    """The position is as before, or after, a write that came to its end; the same bytes once more are the layer."""
    at = upload.tell()
    assert at in (0, len(DATA)), at
    upload.seek(0)
    upload.write(DATA)
    return upload.finish(DIGEST)


def flush(store, upload):
    """It can be flushed."""
    upload.flush()
    return upload.finish(DIGEST)


def finish(store, upload):
    """It can be finished, by the same handle or, where a move that was cut off has fenced it, by the next."""
    try:
        return upload.finish(DIGEST)
    except layerstore.FencedError:
        return store.resume("a", upload.uuid, offset=len(DATA)).finish(DIGEST)


def close(store, upload):
    """The bytes flushed before are there, or all bytes."""
    upload.close()
    return store.resume("a", upload.uuid, offset=len(DATA)).finish(DIGEST)


ACTIONS = {
    "write": (lambda upload: upload.write(DATA), write),
    "flush": (lambda upload: upload.flush(), flush),
    "finish": (lambda upload: upload.finish(DIGEST), finish),
    "close": (lambda upload: upload.close(), close),
}

action, check = ACTIONS[sys.argv[1]]
for number in itertools.count():
    store = layerstore.open("memory:")
    upload = store.upload("a")
    if check is not write:
        upload.write(DATA)
    if check is close:
        upload.flush()
    interrupted = Interruption(number).during(lambda: action(upload))
    try:
        layer = check(store, upload)
        assert layer.readall() == DATA, "other bytes"
    except BaseException:
        print("interrupted at line", number, file=sys.stderr)
        raise
    if not interrupted:
        break
print(number)
'''


@pytest.mark.thorough
@pytest.mark.parametrize("action", ["write", "flush", "finish", "close"])
@pytest.mark.parametrize("times", [16, 6000], ids=["4 KiB", "1.5 MiB"])
def test_an_interrupted_upload_goes_on_and_the_process_ends(times: int, action: str) -> None:
    """At whatever line it was interrupted, its own or the library's: in two puts, and in 1.5 MiB that threads hash."""
    done = run(ATTACK, action, str(times))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15, "it was interrupted at hardly any line"


STORM = """
import hashlib, random, signal
import layerstore

DATA = bytes(range(256)) * 5000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
random.seed(13)
presses = 0


def attempt(upload):
    upload.seek(0)
    upload.write(DATA)
    upload.flush()
    return upload.finish(DIGEST)


def press(_, frame):
    global presses
    while frame and frame.f_code is not attempt.__code__:
        frame = frame.f_back
    if frame and presses:
        presses -= 1
        signal.setitimer(signal.ITIMER_REAL, random.choice((1e-5, 1e-4, 1e-3)))  # while it cleans up, or later
        raise KeyboardInterrupt


def finished(store, upload):
    while True:
        try:
            return attempt(upload)
        except KeyboardInterrupt:
            pass
        except (layerstore.FencedError, layerstore.BackendUnavailableError):
            upload = store.resume("a", upload.uuid)  # a write or a move was cut off in the middle
        except layerstore.LayerClosedError:
            return upload.finish(DIGEST)  # it was finished but for what it leaves behind


signal.signal(signal.SIGALRM, press)
store, pressed = layerstore.open("memory:"), 0
for _ in range(400):
    upload = store.upload("a")
    presses = 3
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 5e-3))
    assert finished(store, upload).readall() == DATA
    pressed += 3 - presses
signal.setitimer(signal.ITIMER_REAL, 0)  # at the interpreter's end nobody handles it
assert list(store.uploads()) == []
print(pressed)
"""


def test_a_storm_of_interrupts_hangs_nothing_and_mixes_no_bytes() -> None:
    """By real signals, up to three in a row, so that one comes while another is cleaned up after."""
    done = run(STORM)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program, and fail if it does not end."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
