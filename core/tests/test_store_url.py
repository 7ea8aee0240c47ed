"""Store URLs: what they mean, what is refused, and that no message shows a credential."""

import copy
import pickle

import pytest

from layerstore.errors import InvalidURLError
from layerstore.url import StoreURL

READ = {
    "local:relative/path": ("local", None, "relative/path"),
    "local:/absolute": ("local", None, "/absolute"),
    "local:///absolute/path": ("local", None, "/absolute/path"),
    "local:///": ("local", None, "/"),
    "local:////two": ("local", None, "//two"),
    "memory://NAME": ("memory", "NAME", ""),
    "memory:": ("memory", None, ""),
    "memory://": ("memory", None, ""),
    "azure://account/container/a/b": ("azure", "account", "/container/a/b"),
    "azure://127.0.0.1:10000/container": ("azure", "127.0.0.1:10000", "/container"),
    "azure://[::1]:10000/c": ("azure", "[::1]:10000", "/c"),
    "pyfs+osfs://~/layers": ("pyfs+osfs", "~", "/layers"),
    "a.b-c+d:x": ("a.b-c+d", None, "x"),
    "LOCAL:Path": ("local", None, "Path"),
    "local:a%20b%2Fc%23%3F%25": ("local", None, "a b/c#?%"),
    "local:b%C3%BCcher/büro": ("local", None, "bücher/büro"),
    "local:me@home": ("local", None, "me@home"),
}

REFUSED = {
    "": "expected scheme:path",
    "/var/lib/layers": "expected scheme:path",
    ":path": "expected scheme:path",
    "1local:path": "expected scheme:path",
    "lo cal:path": "expected scheme:path",
    "löcal:path": "expected scheme:path",
    "local\n:path": "expected scheme:path",
    "local:path#part": "fragment",
    "local:path?a=1#part": "fragment",
    "sftp://user@host/path": "user name or password",
    "sftp://user:word@host/path": "user name or password",
    "azure://ac count/c": "the host",
    "azure://account%2Fc/d": "the host",
    "azure://account:port/c": "the host",
    "azure://account\n/c": "the host",
    "local:100%": "hexadecimal",
    "local:%2": "hexadecimal",
    "local:%zz": "hexadecimal",
    "local:?a=%": "hexadecimal",
    "local:%ff": "not UTF-8",
    "local:%c3": "not UTF-8",
    "local:?a=%80": "not UTF-8",
    "local:\ud800": "not UTF-8",
    "local:a%00b": "control character",
    "local:a\x00b": "control character",
    "local:a\x7fb": "control character",
    "local:a%C2%85b": "control character",
    "local:?a%0a=1": "control character",
    "local:?a=1%0D": "control character",
    "local:?a": "name=value",
    "local:?=1": "name=value",
    "local:?a=1&": "name=value",
    "local:?a=1&b=2&a=3": "option 'a' is given twice",
    "local:?a=1&%61=3": "option 'a' is given twice",
}

LEAKY = [
    "sftp://hunter2@host/path",
    "sftp://hunter2%40host/path",
    "hunter2@host/path",
    "sftp://user:hunter2@host/path",
    "sftp://user:hun@hunter2@host/path",
    "sftp://user:a?hunter2@host/path",
    "sftp://user:a/hunter2@host/path",
    "sftp://user:a#hunter2@host/path",
    "sftp://user:hunter2%40host/path",
    "sftp://host/a%3Ftoken%3Dhunter2#part",
    "sftp:a%3ftoken%3dhunter2%zz",
    "sftp://user:hunter2/path",
    "user_name:hunter2@host",
    "//user:hunter2@host",
    "azure://a/c?key=hunter2#f",
    "azure://a/c?key=hunter2&key=hunter2",
    "azure://a/c?key=%hunter2",
    "azure://a/c?hunter2",
    "azure://a/c?key=x@hunter2#f",
    "azure://a/c&sig=hunter2#f",
    "DefaultProtocol=https;AccountName=a;AccountKey=hunter2",
    "BlobEndpoint=https://a.example/;SharedAccessSignature=sig=hunter2",
]


@pytest.mark.parametrize(("text", "parts"), READ.items(), ids=ascii)
def test_a_url_is_read_into_scheme_host_and_decoded_path(text: str, parts: tuple[str, str | None, str]) -> None:
    """Each form of URL has one meaning."""
    url = StoreURL.parse(text)
    assert (url.scheme, url.host, url.path) == parts
    assert url.options == {}


@pytest.mark.parametrize("text", READ, ids=ascii)
def test_a_url_written_out_is_read_back_the_same(text: str) -> None:
    """``str`` escapes whatever has a meaning of its own."""
    url = StoreURL.parse(text)
    assert StoreURL.parse(str(url)) == url
    assert str(url).isascii()


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("key=abc+/12==", {"key": "abc+/12=="}),
        ("k%65y=a%26b%3D%20%C3%BC", {"key": "a&b= ü"}),
        ("url=https://a.example/?x", {"url": "https://a.example/?x"}),
    ],
)
def test_options_are_decoded_and_a_plus_stays_a_plus(query: str, options: dict[str, str]) -> None:
    """Base64 survives in an option unescaped."""
    assert StoreURL.parse(f"azure://account/c?{query}").options == options


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=ascii)
def test_what_is_no_store_url_is_refused_with_the_reason(text: str, reason: str) -> None:
    """A malformed URL raises one error, and the message says what is wrong."""
    with pytest.raises(InvalidURLError, match="invalid store URL") as caught:
        StoreURL.parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", LEAKY)
def test_a_refused_url_does_not_show_what_may_be_a_credential(text: str) -> None:
    """No message holds a credential, wherever in the text it was put (clause E3)."""
    with pytest.raises(InvalidURLError) as caught:
        StoreURL.parse(text)
    error = caught.value
    assert "hunter2" not in f"{error} {error!r} {vars(error)}"
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_a_refused_url_shows_the_rest() -> None:
    """The message shows as much as it safely can, so that the user finds the mistake."""
    with pytest.raises(InvalidURLError, match=r"'azure://account/cont%zz\.\.\.'"):
        StoreURL.parse("azure://account/cont%zz?key=1")
    with pytest.raises(InvalidURLError, match=r"'/var/lib/layers'"):
        StoreURL.parse("/var/lib/layers")


def test_neither_str_nor_repr_shows_the_options() -> None:
    """A parsed URL can be logged."""
    url = StoreURL.parse("azure://account/c?key=hunter2")
    assert str(url) == "azure://account/c"
    assert "hunter2" not in repr(url)


def test_a_url_does_not_change() -> None:
    """Fields and options are read-only, whoever holds the mapping they came from."""
    given = {"a": "1"}
    url = StoreURL("memory", options=given)
    given["a"] = "2"
    assert url.options["a"] == "1"
    with pytest.raises(TypeError):
        url.options["a"] = "3"  # type: ignore[index]  # what is tried here
    with pytest.raises(AttributeError):
        url.path = "x"  # type: ignore[misc]  # what is tried here


def test_a_url_is_copied_pickled_and_hashed() -> None:
    """A URL can be sent to another process and be a key."""
    url = StoreURL.parse("azure://account/c?key=1")
    assert pickle.loads(pickle.dumps(url)) == copy.deepcopy(url) == url
    assert url != StoreURL.parse("azure://account/c?key=2")
    assert len({url, copy.copy(url)}) == 1
