"""The S3 driver's URL and options."""

from __future__ import annotations

import pytest

from layerstore import StoreURL, open_driver
from layerstore.errors import InvalidURLError, UnknownOptionError
from layerstore_drivers.s3.driver import S3Driver, Settings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:", "is no bucket"),
        ("s3://b", "'b' is no bucket"),
        ("s3://Bucket", "is no bucket"),
        ("s3://bucket/.hidden", "the prefix is no key"),
        ("s3://bucket/a//b", "the prefix is no key"),
        (f"s3://bucket/{'x' * 24}", "the prefix has at most 24 bytes with its slash"),
        ("s3://bucket?path_style=perhaps", "path_style is true or false"),
        ("s3://bucket?checksum=MD4", "checksum is one of CRC32"),
        ("s3://bucket?retries=-1", "retries is a whole number"),
        ("s3://bucket?timeout=0", "timeout is a whole number"),
        ("s3://bucket?block_size=1000", "block_size is a whole number, at least 5242880"),
        ("s3://bucket?access_key_id=id", "are given together"),
        ("s3://bucket?endpoint=nowhere", "Invalid endpoint"),
        ("s3://bucket?profile=there-is-none", "there-is-none"),
    ],
)
def test_what_a_url_cannot_mean_is_refused_when_it_is_opened(url: str, said: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(InvalidURLError, match=said):
        open_driver(url)


def test_a_prefix_may_have_twenty_three_bytes() -> None:
    """With its slash and the longest key that is a name's 1,024."""
    S3Driver.open(StoreURL("s3", "bucket", f"/{'x' * 23}"))


def test_an_unknown_option_is_refused() -> None:
    """As of every driver."""
    with pytest.raises(UnknownOptionError):
        open_driver("s3://bucket?colour=red")


def test_every_option_is_documented() -> None:
    """The page has them all."""
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()
    assert [name for name in S3Driver.options if f"`{name}`" not in page] == []


def test_an_endpoint_has_the_bucket_in_the_path_unless_it_says_otherwise() -> None:
    """Few services but AWS have a host name for each bucket."""
    assert Settings.of({"endpoint": "http://host"}).path_style
    assert not Settings.of({}).path_style
    assert not Settings.of({"endpoint": "http://host", "path_style": "false"}).path_style


def test_drivers_with_the_same_options_share_a_client() -> None:
    """To make one takes long; other options, or other variables, make another."""
    given = {"endpoint": "http://host", "access_key_id": "id", "secret_access_key": "secret"}
    assert Settings.of(given).client() is Settings.of(given).client()
    assert Settings.of(given).client() is not Settings.of({**given, "access_key_id": "other"}).client()


def test_other_variables_make_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may say who you are."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    first = Settings.of({}).client()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "two")
    assert Settings.of({}).client() is not first


def test_the_region_is_us_east_1_unless_something_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK follows a redirection from there to the bucket's own."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert Settings.of({}).client().meta.region_name == "us-east-1"
    assert Settings.of({"region": "eu-north-1"}).client().meta.region_name == "eu-north-1"
