"""The page for people with a browser: what it shows, to whom, and that it is safe to look at."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest

from layerstore import LayerService, layout
from layerstore.digest import Digest
from layerstore_registry import Registry, Settings
from layerstore_registry.access.htpasswd import Htpasswd
from layerstore_registry.access.rules import Rules
from layerstore_registry.page.pages import HEADERS, human
from layerstore_registry.page.view import MOST

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, Client, described, digest, dumped, image, index
    from tests.serving import serving
else:
    from registry_client import NAME, OCI_IMAGE, Client, described, digest, dumped, image, index
    from serving import serving

HOUSE = "/?repository=library%2Fdemo"
SHARED, OWN = b"shared" * 1000, b"own" * 700_000


@pytest.fixture
def furnished(client: Client) -> Client:
    """Push two images that share a layer, an index of both, and begin an upload."""
    manifests = [client.push_image("v1", SHARED), client.push_image("v2", SHARED, OWN)]
    many = described(manifests[0], OCI_IMAGE, platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
    body = index(manifests[1]).replace(b'"manifests": [', b'"manifests": [' + dumped(many) + b", ")
    assert client.push_manifest(body, "many").status_code == 201
    client.patch(client.begin(), data=b"x" * 2048)
    return client


def test_the_first_page_lists_repositories(furnished: Client) -> None:
    """Each leads to its own."""
    answer = furnished.get("/")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert f'<a href="{HOUSE}">{NAME}</a>' in answer.text.replace('library/demo">', 'library%2Fdemo">')


def test_a_fresh_registry_says_what_to_do(client: Client) -> None:
    """There is nothing to list."""
    assert "docker://localhost/library/alpine:latest" in client.get("/").text


def test_many_repositories_are_listed_in_pages(client: Client) -> None:
    """Each leads to the next."""
    for number in range(MOST + 1):
        client.begin(f"r{number:03}")
    first = client.get("/").text
    (more,) = re.findall(r'href="(/\?last=[^"]+)"', first)
    assert first.count("<li>") == MOST
    assert client.get(more).text.count("<li>") == 1
    assert "?last=" not in client.get(more).text


def test_a_repository_shows_its_tags_and_uploads(furnished: Client) -> None:
    """What they are, how large, how to pull them, and how far uploads have come."""
    text = furnished.get(HOUSE).text
    for tag, kind in (("v1", "image"), ("v2", "image"), ("many", "index")):
        row = text.partition(f"manifest={tag}")[2].partition("</tr>")[0]
        assert f"<td>{kind}</td>" in row
    assert f"docker pull localhost/{NAME}:v2" in text
    assert "2.0 KiB" in text.partition("Uploads under way")[2]


def test_a_manifest_shows_its_layers(furnished: Client) -> None:
    """With sizes, and which other tags have them too."""
    text = furnished.get(f"{HOUSE}&manifest=v2").text
    shared = text.partition(digest(SHARED))[2].partition("</tr>")[0]
    own = text.partition(digest(OWN))[2].partition("</tr>")[0]
    assert (human(len(SHARED)) in shared, "<td>v1</td>" in shared) == (True, True)
    assert (human(len(OWN)) in own, "<td>v1</td>" in own) == (True, False)


def test_an_index_shows_its_manifests(furnished: Client) -> None:
    """By platform; each leads to its own page."""
    text = furnished.get(f"{HOUSE}&manifest=many").text
    assert "linux/arm64/v8" in text
    links = re.findall(r'href="(/\?repository=[^"]+manifest=sha256[^"]+)"', text)
    assert len(links) == 2
    for link in links:
        assert digest(SHARED) in furnished.get(link.replace("&amp;", "&")).text


@pytest.mark.parametrize("reference", ["none", digest(b"none"), "sha256:x", "-", "a/b"])
def test_what_is_not_there_is_not_found(furnished: Client, reference: str) -> None:
    """By a refusal as of any other request."""
    assert furnished.get("/", query_string={"repository": NAME, "manifest": reference}).status_code == 404


def test_what_is_no_repository_is_refused(client: Client) -> None:
    """Before the store is asked."""
    assert client.code(client.get("/?repository=../x")) == (400, "NAME_INVALID")
    assert "It has no tags" in client.get("/?repository=nowhere").text


def test_nothing_that_was_pushed_runs(client: Client) -> None:
    """Whatever a manifest says is shown as text, and the page allows no script."""
    client.push_blob(b"{}")
    evil = "<script>alert(1)</script>"
    body = image(b"{}").replace(b"application/vnd.oci.image.config.v1+json", evil.encode())
    assert client.push_manifest(body, "v1").status_code == 201
    for path in (f"{HOUSE}&manifest=v1", HOUSE, "/"):
        answer = client.get(path, headers={"Host": "x<script>"})
        assert "<script" not in answer.text
        policy = answer.headers["Content-Security-Policy"]
        assert policy == HEADERS["Content-Security-Policy"]
        assert ("default-src 'none'" in policy, "unsafe" in policy) == (True, False)
    assert "&lt;script&gt;" in client.get(f"{HOUSE}&manifest=v1").text


ODD = [
    b"{",
    b'{"schemaVersion": 1}',
    b'{"schemaVersion": 2, "manifests": 5}',
    image(b"{}").replace(b'"size": 2', b'"size": "x"'),
]


@pytest.mark.parametrize("data", ODD)
def test_what_another_registry_took_is_shown_as_far_as_it_is_understood(
    client: Client, store: LayerService, data: bytes
) -> None:
    """And spoils no page."""
    canonical = Digest.of(data)
    store.driver.put(layout.blob(canonical), data)
    for key in (layout.revision(NAME, canonical), layout.tag(NAME, "odd")):
        store.driver.put(key, str(canonical).encode())
    for path in (HOUSE, f"{HOUSE}&manifest=odd"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("odd", [b'"size": 1%s' % (b"0" * 400), b'"size": 1, "mediaType": "\\ud800"'])
def test_a_layer_that_says_odd_things_is_shown(client: Client, odd: bytes) -> None:
    """A size beyond every number, or a text that cannot be encoded."""
    client.push_blob(b"{}")
    layer = b'{"digest": "%s", %s}' % (digest(b"{}").encode(), odd)
    assert (
        client.push_manifest(image(b"{}").replace(b'"layers": []', b'"layers": [%s]' % layer), "v1").status_code == 201
    )
    for path in (HOUSE, f"{HOUSE}&manifest=v1"):
        assert client.get(path).status_code == 200


def test_the_page_is_for_those_who_may_pull(store: LayerService, client: Client) -> None:
    """What they may not, they do not see."""
    client.push_image("v1", b"x")
    client.push_image("v1", b"x", name="public/x")
    text = '[[allow]]\nanonymous = true\nrepositories = ["public/*"]\nactions = ["pull"]\n'
    users = {"alice": bcrypt.hashpw(b"x", bcrypt.gensalt(4))}
    guarded = Client(Registry(store, access=Htpasswd(users, Rules.parse(text, users))))
    assert ("public/x" in guarded.get("/").text, NAME in guarded.get("/").text) == (True, False)
    assert guarded.get("/?repository=public%2Fx&manifest=v1").status_code == 200
    for path in (HOUSE, f"{HOUSE}&manifest=v1"):
        assert guarded.get(path).status_code == 401


def test_there_need_be_no_page(furnished: Client, serve: Callable[[Settings], Client]) -> None:
    """Then nothing is there."""
    assert serve(Settings(pages=False)).get("/").status_code == 404
    assert furnished.post("/").status_code == 405


@pytest.mark.parametrize(
    ("size", "spelled"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 30, "3.0 GiB"), (5 << 50, "5120.0 TiB")],
)
def test_sizes_are_for_people(size: int, spelled: str) -> None:
    """In the largest unit that fits."""
    assert human(size) == spelled


def chromium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a browser without a window, that says on standard error what its console would show."""
    program = shutil.which("chromium")
    if program is None:
        assert "LAYERSTORE_CI" not in os.environ, "CI has to install chromium"
        pytest.skip("chromium is not installed")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={folder}"]
    return subprocess.run([program, *flags, *words], capture_output=True, text=True, timeout=120, check=True)


def test_a_browser_shows_it_with_its_style(tmp_path: Path) -> None:
    """The policy allows that: what it forbids would be told."""
    with serving(store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        for data in (b"{}", b"layer"):
            node.request("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest(data)}", data)
        node.request("PUT", f"/v2/{NAME}/manifests/v1", image(b"{}", b"layer"), Content_Type=OCI_IMAGE)
        done = chromium(tmp_path / "profile", "--dump-dom", f"{node.url}{HOUSE}&manifest=v1")
    assert digest(b"layer") in done.stdout
    assert "Content Security Policy" not in done.stderr


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("path", ["/", HOUSE, f"{HOUSE}&manifest=v1"])
def test_a_page_is_no_wider_than_its_window(furnished: Client, tmp_path: Path, path: str, width: int) -> None:
    """Whatever it shows: a script tells that is put in for the test."""
    telling = "<script>document.title = `${document.documentElement.scrollWidth <= innerWidth} ${innerWidth}`</script>"
    page = tmp_path / "page.html"
    page.write_text(furnished.get(path).text + telling, encoding="utf-8")
    done = chromium(tmp_path / "profile", f"--window-size={width},900", "--dump-dom", page.as_uri())
    assert f"<title>true {width}</title>" in done.stdout
