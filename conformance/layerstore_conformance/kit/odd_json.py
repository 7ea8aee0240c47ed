"""Documents that are no JSON, or JSON of another form than any that is stored."""

from __future__ import annotations

DEEP = 100_000
"""Lists in lists: more than a parser follows."""

ODD = {
    "nothing": b"",
    "no JSON": b"no JSON",
    "no text": b"\xff\xfe\x00",
    "null": b"null",
    "a number": b"1",
    "no number": b"NaN",
    "a number of many digits": b"9" * 5000,
    "a text": b'"text"',
    "a list": b"[]",
    "an object": b"{}",
    "an end too early": b'{"schemaVersion": 2, "config": {}, "layers": [',
    "more behind the end": b'{"schemaVersion": 2, "config": {}, "layers": []} {}',
    "a mark of the byte order": b'\xef\xbb\xbf{"schemaVersion": 2, "config": {}, "layers": []}',
    "another encoding": '{"schemaVersion": 2, "config": {}, "layers": []}'.encode("utf-16"),
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"layers":' * DEEP + b"1" + b"}" * DEEP,
}
"""By what they are; none can be understood, whatever is expected."""

OTHER_TYPES: tuple[object, ...] = (None, True, 5, 5.5, "text", "", ["text"], [[]], {"text": 1})
"""Values of other types than expected, for a member of an object."""
