"""Lists of tags, of repositories, and of referrers (OCI distribution specification 1.1, "Content Discovery")."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from layerstore import LayerService, layout
from layerstore.digest import Digest
from layerstore_registry import Settings
from layerstore_registry.resources import manifests

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, OCI_INDEX, Client, described, digest, image, index
else:
    from registry_client import NAME, OCI_IMAGE, OCI_INDEX, Client, described, digest, image, index

TAGS = ["1.0", "A", "a", "a-b", "a.b", "a_b", "ab", "b"]


@pytest.fixture
def tagged(client: Client) -> Client:
    """Push one image under many tags, in no order."""
    manifest = client.push_image("a-b", b"layer")
    for tag in reversed(TAGS):
        client.push_manifest(manifest, tag)
    return client


def test_tags_are_listed_in_order(tagged: Client) -> None:
    """By bytes; the answer names the repository."""
    answer = tagged.get(f"/v2/{NAME}/tags/list")
    assert answer.content_type == "application/json"
    assert json.loads(answer.data) == {"name": NAME, "tags": TAGS}
    assert "Link" not in answer.headers


@pytest.mark.parametrize("count", range(1, 10))
def test_tags_are_listed_in_pages(tagged: Client, count: int) -> None:
    """Each leads to the next, and the last to none."""
    path, found = f"/v2/{NAME}/tags/list?n={count}", []
    while path:
        answer = tagged.get(path)
        page = json.loads(answer.data)["tags"]
        assert len(page) <= count
        found += page
        link = answer.headers.get("Link", "")
        assert not link or (link.startswith("</v2/") and link.endswith('>; rel="next"'))
        path = link.partition(">")[0].lstrip("<")
    assert found == TAGS


def test_a_list_goes_on_after_any_tag(tagged: Client) -> None:
    """Whether that is there or not."""
    assert tagged.tags(last="a-b") == TAGS[4:]
    assert tagged.tags(last="a-c") == TAGS[4:]
    assert tagged.tags(last="zzz") == []


def test_no_tags_at_all_may_be_asked_for(tagged: Client) -> None:
    """Then there is no next page."""
    answer = tagged.get(f"/v2/{NAME}/tags/list?n=0")
    assert (json.loads(answer.data)["tags"], answer.headers.get("Link")) == ([], None)


@pytest.mark.parametrize("path", [f"/v2/{NAME}/tags/list", "/v2/_catalog"])
def test_a_number_may_begin_with_zeros(tagged: Client, path: str) -> None:
    """It is as large as without."""
    answer = tagged.get(path, query_string={"n": "0000000001000"})
    assert answer.status_code == 200
    assert json.loads(answer.data) == json.loads(tagged.get(path).data)


@pytest.mark.parametrize("path", [f"/v2/{NAME}/tags/list", "/v2/_catalog"])
@pytest.mark.parametrize("wrong", ["-1", "x", "", "1.5", "²"])
def test_a_number_that_is_none_is_refused(tagged: Client, path: str, wrong: str) -> None:
    """Rather than taken for another."""
    assert tagged.code(tagged.get(path, query_string={"n": wrong})) == (400, "UNSUPPORTED")


def test_no_page_is_longer_than_settings_say(tagged: Client, serve: Callable[[Settings], Client]) -> None:
    """Whatever is asked for, or not."""
    small = serve(Settings(page=3))
    for query in ("", "?n=5", f"?n={'9' * 5000}"):
        answer = small.get(f"/v2/{NAME}/tags/list{query}")
        assert (json.loads(answer.data)["tags"], "Link" in answer.headers) == (TAGS[:3], True)


def test_a_repository_without_tags_has_an_empty_list(client: Client) -> None:
    """One that is not there has none."""
    client.push_blob(b"x")
    assert client.tags() == []
    assert client.code(client.get("/v2/nowhere/tags/list")) == (404, "NAME_UNKNOWN")


def test_what_is_no_tag_is_not_listed(tagged: Client, store: LayerService) -> None:
    """Nor is one that stands for nothing, because it was deleted, or a push was cut off."""
    store.driver.put(f"{layout.tags(NAME)}/-x/current/link", b"x")
    store.driver.put(layout.tag_entry(NAME, "cut-off", Digest.of(b"")), b"x")
    assert tagged.tags() == TAGS


def test_repositories_are_listed(client: Client) -> None:
    """As paths, whatever they have; in pages as tags are."""
    client.push_blob(b"x", "b")
    client.begin("a/b")
    client.push_image("v1", b"x", name="a")
    client.push_manifest(index(), "v1", "only/manifests")
    listed = ["a", "a/b", "b", "only/manifests"]
    assert json.loads(client.get("/v2/_catalog").data) == {"repositories": listed}
    answer = client.get("/v2/_catalog?n=2")
    assert json.loads(answer.data)["repositories"] == listed[:2]
    assert answer.headers["Link"] == '</v2/_catalog?n=2&last=a%2Fb>; rel="next"'
    assert json.loads(client.get("/v2/_catalog?n=2&last=a%2Fb").data)["repositories"] == listed[2:]


SUBJECT = image(b"{}")


@pytest.fixture
def subject(client: Client) -> str:
    """Push something to refer to."""
    client.push_blob(b"{}")
    client.push_manifest(SUBJECT, "subject")
    return digest(SUBJECT)


def referring(subject: bytes, **more: Any) -> bytes:
    """Write an artifact that refers to a manifest."""
    return image(b"{}", subject=described(subject, OCI_IMAGE), **more)


def test_what_refers_to_a_manifest_is_listed(client: Client, subject: str) -> None:
    """With its kind, size, digest and annotations; its push says what it refers to."""
    signature = referring(SUBJECT, artifactType="test/signature", annotations={"by": "me"})
    answer = client.push_manifest(signature, digest(signature))
    assert answer.headers["OCI-Subject"] == subject
    expected = described(signature, OCI_IMAGE, artifactType="test/signature", annotations={"by": "me"})
    assert client.referrers(subject) == [expected]


def test_the_kind_of_an_artifact_is_its_own_or_its_configs(client: Client, subject: str) -> None:
    """Of an index only its own."""
    plain = referring(SUBJECT)
    children = index(subject=described(SUBJECT, OCI_IMAGE))
    named = index(subject=described(SUBJECT, OCI_IMAGE), artifactType="test/index")
    for each in (plain, children, named):
        assert client.push_manifest(each, digest(each)).headers["OCI-Subject"] == subject
    kinds = {found["digest"]: found.get("artifactType") for found in client.referrers(subject)}
    assert kinds == {
        digest(plain): "application/vnd.oci.image.config.v1+json",
        digest(children): None,
        digest(named): "test/index",
    }
    assert {found["mediaType"] for found in client.referrers(subject)} == {OCI_IMAGE, OCI_INDEX}


def test_a_subject_need_not_be_there(client: Client) -> None:
    """Nor the repository."""
    client.push_blob(b"{}")
    missing = referring(b"nowhere")
    assert client.push_manifest(missing, "v1").status_code == 201
    assert [found["digest"] for found in client.referrers(digest(b"nowhere"))] == [digest(missing)]
    assert client.referrers(digest(b"other")) == []
    assert client.referrers(digest(b"other"), "no/repository") == []


@pytest.mark.parametrize("wrong", ["sha256:x", "latest", "md5:" + "0" * 32])
def test_what_is_no_digest_has_no_referrers(client: Client, wrong: str) -> None:
    """It is refused as such."""
    assert client.code(client.get(f"/v2/{NAME}/referrers/{wrong}")) == (400, "DIGEST_INVALID")


def test_referrers_are_listed_by_kind(client: Client, subject: str) -> None:
    """The answer says that it was chosen by that."""
    for kind in ("test/a", "test/b"):
        each = referring(SUBJECT, artifactType=kind)
        client.push_manifest(each, digest(each))
    answer = client.get(f"/v2/{NAME}/referrers/{subject}", query_string={"artifactType": "test/a"})
    assert [found["artifactType"] for found in json.loads(answer.data)["manifests"]] == ["test/a"]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert "OCI-Filters-Applied" not in client.get(f"/v2/{NAME}/referrers/{subject}").headers


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_deleted_manifest_refers_to_nothing(
    client: Client, subject: str, store: LayerService, algorithm: str
) -> None:
    """Whichever digest it was pushed and deleted by; nothing is left of what was noted of it."""
    signature = referring(SUBJECT)
    client.push_manifest(signature, digest(signature, algorithm))
    assert [found["digest"] for found in client.referrers(subject)] == [digest(signature, algorithm)]
    client.delete(f"/v2/{NAME}/manifests/{digest(signature)}")
    assert client.referrers(subject) == []
    assert list(store.driver.list(layout.referrers(NAME, Digest.parse(subject)))) == []


def test_a_manifest_that_went_otherwise_refers_to_nothing(client: Client, subject: str, store: LayerService) -> None:
    """What is noted of it is no proof that it is there; and what is no note is none."""
    signature = referring(SUBJECT)
    client.push_manifest(signature, "v1")
    store.driver.delete(layout.revision(NAME, Digest.of(signature)))
    for below in ("sha256/x/referrer", f"sha256/{'0' * 64}/referrer", "stray"):
        store.driver.put(f"{layout.referrers(NAME, Digest.parse(subject))}/{below}", b"x")
    assert client.referrers(subject) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_what_clients_have_noted_in_a_tag_is_listed(client: Client, store: LayerService, algorithm: str) -> None:
    """By the specification's scheme, on a registry without this list; once, and only what does refer to it."""
    client.push_blob(b"{}")
    subject = Digest.parse(digest(SUBJECT, algorithm))
    refers = image(b"{}", subject=described(SUBJECT, OCI_IMAGE, algorithm), artifactType="test/old")
    other = image(b"{}", artifactType="test/other")
    for each in (refers, other):
        client.push_manifest(each, digest(each))
    store.driver.delete(layout.referrers(NAME, subject))
    assert client.referrers(str(subject)) == []
    tag = f"{subject.algorithm}-{subject.hex[:64]}"
    client.push_manifest(index(refers, other), tag)
    listed = [described(refers, OCI_IMAGE, artifactType="test/old")]
    assert client.referrers(str(subject)) == listed
    client.push_manifest(refers, digest(refers))
    assert client.referrers(str(subject)) == listed
    assert client.tags() == [tag]


def test_a_tag_that_only_looks_like_such_a_note_is_none(client: Client, subject: str) -> None:
    """It may stand for an image."""
    client.push_manifest(SUBJECT, subject.replace(":", "-"))
    assert client.referrers(subject) == []


def test_many_referrers_are_listed_in_pages(client: Client, subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is larger than clients take; each leads to the next."""
    monkeypatch.setattr(manifests, "REFERRERS_PAGE", 3000)
    pushed = []
    for number in range(7):
        each = referring(SUBJECT, artifactType="test/a", annotations={"x": str(number) * 500})
        client.push_manifest(each, digest(each))
        pushed.append(digest(each))
    path, found, pages = f"/v2/{NAME}/referrers/{subject}?artifactType=test/a", [], 0
    while path:
        answer = client.get(path)
        assert len(answer.data) <= 3000
        found += [each["digest"] for each in json.loads(answer.data)["manifests"]]
        path = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
        pages += 1
    assert (found, pages > 2) == (sorted(pushed), True)


def test_one_referrer_that_fills_a_page_alone_is_listed(
    client: Client, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has one entry at least, or there would be no end."""
    monkeypatch.setattr(manifests, "REFERRERS_PAGE", 100)
    each = referring(SUBJECT, annotations={"x": "y" * 500})
    client.push_manifest(each, digest(each))
    assert [found["digest"] for found in client.referrers(subject)] == [digest(each)]
