"""URLs: what each part of one means, in every way of writing it, and what is none."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import InvalidURLError, LayerStoreError, StoreURL
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

IDS = "declarations"


class Parts(NamedTuple):
    """The parts of a URL."""

    scheme: str
    host: str | None = None
    path: str = ""
    options: Mapping[str, str] = {}


URLS: Final = {
    "store:": Parts("store"),
    "store:?": Parts("store"),
    "STORE:": Parts("store"),
    "Store:Some/Path": Parts("store", None, "Some/Path"),
    "sTORE+Https.X-1://Host:80/Path?Key=Value": Parts("store+https.x-1", "Host:80", "/Path", {"Key": "Value"}),
    "store:///a/b": Parts("store", None, "/a/b"),
    "store:/a/b/": Parts("store", None, "/a/b/"),
    "store:a+b%20c%2Fd": Parts("store", None, "a+b c/d"),
    "store://[::1]:80/%25": Parts("store", "[::1]:80", "/%"),
    "store://~/a:b@c": Parts("store", "~", "/a:b@c"),
    "store:%C3%BC\u00fc%e2%82%ac": Parts("store", None, "\u00fc\u00fc\u20ac"),
}
"""URLs, and what they mean."""

OPTIONS: Final = {
    "key=value": {"key": "value"},
    "key=": {"key": ""},
    "a=&b=&c=1": {"a": "", "b": "", "c": "1"},
    "key=a+b": {"key": "a+b"},
    "key=+": {"key": "+"},
    "a+b=c": {"a+b": "c"},
    "key=%2B%20%2b": {"key": "+ +"},
    "key=abc+/12==": {"key": "abc+/12=="},
    "key==": {"key": "="},
    "key=a%26b%3Dc%23": {"key": "a&b=c#"},
    "k%65y=v": {"key": "v"},
    "%3D=%3D": {"=": "="},
    "KEY=1&key=2": {"KEY": "1", "key": "2"},
    "url=https://a.example:8/?x;y": {"url": "https://a.example:8/?x;y"},
    "key=None&n=0": {"key": "None", "n": "0"},
    "key= ": {"key": " "},
    "key=%C3%BC\u00fc": {"key": "\u00fc\u00fc"},
}
"""What may follow a question mark, and the options that it gives."""

NO_URLS: Final = (
    *("", ":", "store", "/a/b", "//host/a", ":path", "1store:", "+s:", "-s:", ".s:", "s_t:", " store:", "store :"),
    *("st\u00f6re:", "\u017ftore:", "store\n:", "store\0:", "store:a#", "store:#", "store:?a=1#b", "store:%23#"),
    *("store://user@host", "store://user:word@host/a", "store://@host", "store://ho st/a", "store://h%6Fst/a"),
    *("store://host:port", "store://[::1/a", "store://[x]/a", "store://host\\a"),
    *("store:%", "store:%2", "store:%zz", "store:% 1", "store:a%", "store:%ff", "store:%c3", "store:\ud800"),
    *("store:%00", "store:a%0Ab", "store:a\nb", "store:a\x7f", "store:%C2%85"),
)
"""Texts that are no URL."""

NO_OPTIONS: Final = (
    *("key", "=", "=1", "key=1&", "&", "&key=1", "a=1&&b=2", "a=1&b", "a=1&=2", "a=1&a=1", "a=1&a=", "a=1&%61=2"),
    *("key=%", "key=%2", "key=%zz", "key=%ff", "key=%00", "key=%0D", "%0a=1", "%zz=1", "key=\ud800", "k\x01=1"),
)
"""What may follow no question mark."""


@scenario(
    *("O1", "O2"),
    kills=(
        *("schemes-keep-their-case", "a-plus-is-a-space", "an-empty-option-is-refused", "options-are-in-lower-case"),
        "options-begin-at-the-last-question-mark",
    ),
    rows=(12,),
)
def every_way_of_writing_a_url_is_read(ctx: Context) -> None:
    """A URL's scheme is in lower case however it is written, and path and options are as they are, but for escapes.

    An option may be empty, and a plus is a plus: it is one in every second secret of an object store.
    """
    del ctx
    texts = {
        **URLS,
        **{f"store:{query}": Parts("store", None, "", found) for query, found in _queries()},
        **{f"store://host/a{query}": Parts("store", "host", "/a", found) for query, found in _queries()},
    }
    for text, parts in texts.items():
        try:
            url = StoreURL.parse(text)
        except InvalidURLError as error:
            raise AssertionError(f"{text!r} was refused: {error}") from error
        found = Parts(url.scheme, url.host, url.path, dict(url.options))
        assert found == parts, f"{text!r} is read as {found}, not as {parts}"
        copy, again = pickle.loads(pickle.dumps(url)), StoreURL.parse(str(url))  # noqa: S301  (pickled in this line)
        assert copy == url, f"{text!r} is {copy!r} when it was pickled"
        assert (again.scheme, again.host, again.path) == parts[:3], f"{text!r} is written as {str(url)!r}"
        assert dict(again.options) == {}, f"{text!r} is written with its options, of which one may be a credential"


def _queries() -> list[tuple[str, Mapping[str, str]]]:
    return [(f"?{query}", options) for query, options in OPTIONS.items()]


@scenario(*("O1", "O2"), kills=("options-given-twice-are-taken", "bad-escapes-are-taken"), rows=(12,))
def what_is_no_url_is_refused(ctx: Context) -> None:
    """A text that is no URL is refused, with what is wrong, wherever that is: in scheme, host, path or options."""
    del ctx
    for text in (*NO_URLS, *(f"store:{at}?{query}" for at in ("", "//host/a") for query in NO_OPTIONS)):
        try:
            with refused(InvalidURLError) as refusal:
                StoreURL.parse(text)
        except AssertionError as error:
            raise AssertionError(f"{text!r} was taken for a URL") from error
        assert refusal.error.detail, f"{text!r} was refused, and nothing says why"


@scenario("O2", "O1", kills=("paths-beside-a-host-are-ignored",), rows=(12,), needs=("url",))
def no_part_of_a_url_is_passed_over(ctx: Context) -> None:
    """A URL with one segment more is of another store, or is refused: it does not open the same one.

    Who mistypes the URL of a test's store must not empty the other.
    """
    assert ctx.harness.url is not None, "needs url"
    ctx.driver.put("key", b"of this store alone")
    place, question, options = ctx.harness.url.partition("?")
    with suppress(LayerStoreError), closing(ctx.at(f"{place.rstrip('/')}/more{question}{options}")) as other:
        assert other.find(f"{ctx.prefix}/key") is None, "a URL with one more segment opens the same store"


SECRET: Final = "s3cr3t"  # noqa: S105  (of nobody)


def _written(character: str) -> tuple[str, str, str]:
    """Return how a delimiter may be written: as it is, or escaped."""
    return character, f"%{ord(character):02X}", f"%{ord(character):02x}"


WITH_A_SECRET: Final = (
    *(f"//user{colon}{SECRET}{at}host" for colon in _written(":") for at in _written("@")),
    *(f"//{SECRET}{at}host/a" for at in _written("@")),
    *(f"{path}?{name}={SECRET}" for path in ("a", "//host/a") for name in ("key", "a=1&sig", "%73ig")),
    *(f"a{question}key{equals}{SECRET}" for question in _written("?") for equals in _written("=")),
    *(f"{path}{each}{SECRET}" for path in ("a", "//host/a", "a%20b") for each in chain(*map(_written, "?#&=;:"))),
    *(f"a?key={SECRET}{more}" for more in ("&key=1", "%26b", "&b", "=", "@host", "%40host")),
)
"""What may follow a colon, with a credential in it: a query's, a password, or part of a connection string."""

IN_PLACE_OF_A_URL: Final = (
    *(f"AccountName=a;AccountKey={SECRET};{rest}" for rest in ("", "Endpoint=http://host/a", "x:y")),
    *(f"user:{SECRET}@host", f"{SECRET}@host:1", f"name={SECRET}", f"a=b;{SECRET}:x", f"a&b={SECRET}://host/a"),
)
"""What somebody may give in place of a URL."""

WRONG: Final = ("", "#x", "#", "%", "%zz", "%00", "\n", "&", "?", "/%ff", " ")
"""What makes no URL of a text, put at its end; most do."""


@scenario(
    "E3",
    "O1",
    kills=(
        "an-escaped-at-is-shown",
        "a-refused-url-is-shown-whole",
        "what-an-escape-in-capitals-hides-is-shown",
        "whatever-precedes-a-colon-is-shown",
    ),
    rows=(12,),
)
def a_url_that_is_refused_shows_no_credential(ctx: Context) -> None:
    """However a credential is written into a URL, with plain or escaped delimiters, its refusal does not show it.

    The message of a refused URL is printed, and kept in logs.
    """
    del ctx
    whole = (*(f"{scheme}{rest}" for scheme in ("store:", "st_re:") for rest in WITH_A_SECRET), *IN_PLACE_OF_A_URL)
    for text, error in ((text, _refusal(text)) for text in (each + wrong for each in whole for wrong in WRONG)):
        said = f"{error} {error!r} {vars(error)} {error.__cause__!r}" if error else ""
        assert SECRET not in said, f"the refusal of {text!r} shows the secret: {error}"


def _refusal(text: str) -> InvalidURLError | None:
    try:
        StoreURL.parse(text)
    except InvalidURLError as error:
        return error
    return None


@scenario("O1", kills=("schemes-keep-their-case",), rows=(12,), needs=("url",))
def a_scheme_in_any_case_opens_the_same_store(ctx: Context) -> None:
    """A URL whose scheme is in upper case, or in both, opens the same store, and errors name the same driver."""
    assert ctx.harness.url is not None, "needs url"
    scheme, colon, rest = ctx.harness.url.partition(":")
    ctx.driver.put("key", b"there")
    for written in (scheme.upper(), scheme.title()):
        with closing(ctx.at(f"{written}{colon}{rest}")) as other:
            ctx.same(other.get(f"{ctx.prefix}/key", 9), b"there", f"by {written}{colon}")
            assert other.scheme == scheme.lower(), f"a driver opened by {written}{colon} is called {other.scheme!r}"
