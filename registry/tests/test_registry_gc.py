"""Collecting what no manifest refers to, beside clients: what was answered stays, and what nobody needs is freed."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import layerstore
from layerstore import CollectReport, Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.steps.watching import Trap, change, fail, of
from layerstore_registry import Registry, Settings

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, OCI_INDEX, Client, digest, image, index
    from tests.serving import Answer, Node, serving
else:
    from registry_client import NAME, OCI_IMAGE, OCI_INDEX, Client, digest, image, index
    from serving import Answer, Node, serving

CONFIG, LAYER_DATA = b"{}", b"a layer"
LAYERS = [b"layer %d" % number for number in range(6)]
IMAGE = image(CONFIG, LAYER_DATA)
INDEX = index(IMAGE)


def later() -> datetime:
    """Return a moment at which everything stored now is old enough."""
    return datetime.now(UTC) + timedelta(days=2)


def gc(store: LayerService) -> CollectReport:
    """Collect all that nothing refers to, whatever its age."""
    return store.collect(now=later(), unreferenced=True, untagged=True)


@pytest.fixture
def trap() -> Trap:
    """Lie in wait before a call."""
    return Trap()


@pytest.fixture
def trapped(store: LayerService, trap: Trap) -> LayerService:
    """Open the store with the trap in it."""
    return LayerService(CheckedDriver(ObservedDriver(store.driver, trap)))


def test_the_layers_of_a_deleted_image_are_freed(client: Client, store: LayerService) -> None:
    """And those of the image beside it stay."""
    manifest = client.push_image("v1", b"shared", b"own")
    client.push_image("v2", b"shared")
    assert client.delete(f"/v2/{NAME}/manifests/{digest(manifest)}").status_code == 202
    freed = {str(each.digest) for each in gc(store).removed}
    assert freed == {digest(manifest), digest(b"own"), digest(b'{"of": "v1"}')}
    assert client.get(f"/v2/{NAME}/blobs/{digest(b'own')}").status_code == 404
    assert client.get(f"/v2/{NAME}/blobs/{digest(b'shared')}").data == b"shared"


def test_all_of_a_repository_may_go(client: Client, store: LayerService) -> None:
    """Nothing is left of an image without a tag, and of what was about it; the repository is not listed any more."""
    subject = client.push_image("v1", b"layer")
    about = image(CONFIG, subject={"mediaType": OCI_IMAGE, "digest": digest(subject), "size": len(subject)})
    client.push_blob(CONFIG)
    assert client.push_manifest(about, digest(about)).status_code == 201
    assert gc(store).dropped.removed == []
    assert client.delete(f"/v2/{NAME}/manifests/v1").status_code == 202
    gc(store)
    assert client.get("/v2/_catalog").json == {"repositories": []}


def had(client: Client) -> None:
    """Have an image in the repository that no tag and no index leads to, with its layers."""
    for blob in (CONFIG, LAYER_DATA):
        client.push_blob(blob)
    assert client.push_manifest(IMAGE, digest(IMAGE)).status_code == 201


def push(client: Client, data: bytes, reference: str) -> bool:
    """Push a manifest; return whether it was taken: nothing but what is missing may be in the way."""
    answer = client.push_manifest(data, reference)
    assert answer.status_code == 201 or client.code(answer) == (400, "MANIFEST_BLOB_UNKNOWN")
    return answer.status_code == 201


def tag(client: Client) -> bool:
    """Push the image by a tag."""
    return push(client, IMAGE, "v1")


def list_it(client: Client) -> bool:
    """Push an index of the image by a tag."""
    return push(client, INDEX, "v1")


def list_it_by_digest(client: Client) -> bool:
    """Push the index by its digest, and then by a tag."""
    return push(client, INDEX, digest(INDEX)) and push(client, INDEX, "v1")


def refer(client: Client) -> bool:
    """Push, by a tag, something about the image, which keeps its own layers alone."""
    subject = {"mediaType": OCI_IMAGE, "digest": digest(IMAGE), "size": len(IMAGE)}
    return push(client, image(CONFIG, LAYER_DATA, subject=subject), "v1")


def push_all(client: Client) -> bool:
    """Push as clients do: ask for each blob, send those that are missing, and the manifest; begin anew if refused."""
    for blob in (CONFIG, LAYER_DATA):
        if client.head(f"/v2/{NAME}/blobs/{digest(blob)}").status_code == 404:
            client.push_blob(blob)
    return push(client, IMAGE, "v1") or push_all(client)


WORK = [tag, list_it, list_it_by_digest, refer, push_all]


def check_whole(client: Client) -> None:
    """Pull what the tag stands for, and all that it leads to."""
    manifest = client.get(f"/v2/{NAME}/manifests/v1")
    assert manifest.status_code == 200
    body = json.loads(manifest.data)
    for child in body.get("manifests", []):
        assert client.get(f"/v2/{NAME}/manifests/{child['digest']}").data == IMAGE
        check_blobs(client, IMAGE)
    if "layers" in body:
        check_blobs(client, manifest.data)


def check_blobs(client: Client, manifest: bytes) -> None:
    """Pull the blobs of an image."""
    for blob in (CONFIG, LAYER_DATA):
        assert digest(blob).encode() in manifest
        assert client.get(f"/v2/{NAME}/blobs/{digest(blob)}").data == blob


@pytest.mark.parametrize("store", ["memory"], indirect=True)
@pytest.mark.parametrize("work", WORK)
def test_a_collection_at_any_call_of_a_push_takes_nothing_that_was_answered(
    client: Client, store: LayerService, trapped: LayerService, trap: Trap, work: Callable[[Client], bool]
) -> None:
    """In the middle of the push, whatever the age of things: it is refused, or whole."""
    slow, answers = Client(Registry(trapped)), list[bool]()
    for number in itertools.count():
        had(client)
        trap.set(lambda at, _, n=number: at == n, lambda: gc(store))  # type: ignore[misc]  # of this turn
        answers.append(work(slow))
        if answers[-1]:
            check_whole(client)
        store.driver.delete(f"{layout.REPOSITORIES}/{NAME}")
        if not trap.sprung:
            break
    assert (number > 10, answers[-1], work is not push_all or all(answers)) == (True, True, True)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
@pytest.mark.parametrize("work", WORK)
def test_a_push_at_any_call_of_a_collection_is_refused_or_whole(
    client: Client, store: LayerService, trapped: LayerService, trap: Trap, work: Callable[[Client], bool]
) -> None:
    """In the middle of the collection, and once more when it is done."""
    for number in itertools.count():
        had(client)
        answers = list[bool]()
        trap.set(lambda at, _, n=number, a=answers: at == n, lambda a=answers: a.append(work(client)))  # type: ignore[misc]
        gc(trapped)
        if answers and answers[0]:
            check_whole(client)
            gc(store)
            check_whole(client)
        store.driver.delete(f"{layout.REPOSITORIES}/{NAME}")
        if not trap.sprung:
            break
    assert number > 60


class Halting:
    """A push that stops before one of its calls, until it is told to go on."""

    def __init__(self, store: LayerService, number: int, work: Callable[[Client], bool]) -> None:
        """Begin, and come as far as that, or to the end."""
        self.trap, self.answers = Trap(), list[bool]()
        self.halted, self.go_on = threading.Event(), threading.Event()
        client = Client(Registry(LayerService(CheckedDriver(ObservedDriver(store.driver, self.trap)))))
        self.trap.set(lambda at, _: at == number, self.halt)
        self.thread = threading.Thread(target=lambda: self.work(work, client))
        self.thread.start()
        assert self.halted.wait(60)

    def halt(self) -> None:
        """Stop."""
        self.halted.set()
        assert self.go_on.wait(60)

    def work(self, work: Callable[[Client], bool], client: Client) -> None:
        """Push."""
        try:
            self.answers.append(work(client))
        finally:
            self.halted.set()

    def end(self) -> bool:
        """Go on to the end, and return what was answered."""
        self.go_on.set()
        self.thread.join(60)
        return self.answers[0]


@pytest.mark.parametrize("store", ["memory"], indirect=True)
@pytest.mark.parametrize("work", [tag, list_it])
def test_a_push_that_stands_still_while_a_collection_comes_halfway_is_refused_or_whole(
    client: Client, store: LayerService, trapped: LayerService, trap: Trap, work: Callable[[Client], bool]
) -> None:
    """Before each of its calls in turn, until each change that the collection makes: then it goes on to its end."""

    def turn(number: int, moment: int) -> tuple[bool, bool]:
        had(client)
        halting = Halting(store, number, work)
        trap.set(change(moment), halting.end)
        gc(trapped)
        if halting.end():
            check_whole(client)
        store.driver.delete(f"{layout.REPOSITORIES}/{NAME}")
        return halting.trap.sprung, trap.sprung

    moments = 0
    for number in itertools.count():
        sprung = list(itertools.takewhile(all, (turn(number, moment) for moment in itertools.count())))
        moments += len(sprung)
        if not sprung:
            break
    assert moments > 100


def test_a_push_that_is_refused_after_its_tag_was_put_leaves_no_manifest(
    client: Client, store: LayerService, trapped: LayerService, trap: Trap
) -> None:
    """It stood still so long that a collection has taken the manifest and its layers."""
    had(client)
    trap.set(of("put", "/tags/v1/index"), lambda: gc(store))
    assert not tag(Client(Registry(trapped)))
    assert trap.sprung
    assert client.get(f"/v2/{NAME}/manifests/{digest(IMAGE)}").status_code == 404


class Aging:
    """The time, some of which has passed."""

    @staticmethod
    def now(zone: object) -> datetime:
        """Return a moment at which a link is old."""
        del zone
        return datetime.now(UTC) + links.RENEWED_AFTER + timedelta(minutes=1)


@pytest.fixture
def held(client: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[bool]]:
    """Return a function that tells whether the layer's link and the manifest's are younger than they were."""
    had(client)
    keys = [layout.link(NAME, Digest.of(LAYER_DATA)), layout.revision(NAME, Digest.of(IMAGE))]
    before = [store.driver.stat(key).modified for key in keys]
    monkeypatch.setattr(links, "datetime", Aging)
    return lambda: [store.driver.stat(key).modified > old for key, old in zip(keys, before, strict=True)]


PATHS = [f"/v2/{NAME}/blobs/{digest(LAYER_DATA)}", f"/v2/{NAME}/manifests/{digest(IMAGE)}"]


def test_what_a_client_asks_for_before_it_pushes_stays_for_a_while(
    client: Client, held: Callable[[], list[bool]]
) -> None:
    """By HEAD; a GET is a pull, and writes nothing."""
    assert [client.get(path).status_code for path in PATHS] == [200, 200]
    assert held() == [False, False]
    assert [client.head(path).status_code for path in PATHS] == [200, 200]
    assert held() == [True, True]


def test_a_last_put_that_comes_again_keeps_the_layer_for_a_while(
    client: Client, store: LayerService, held: Callable[[], list[bool]]
) -> None:
    """Its answer was lost, and the client pushes the manifest next."""
    where = client.begin()
    store.cancel(NAME, where.rpartition("/")[2])
    assert client.put(where, query_string={"digest": digest(LAYER_DATA)}).status_code == 201
    assert held() == [True, False]


def test_whoever_may_not_push_keeps_nothing(store: LayerService, held: Callable[[], list[bool]]) -> None:
    """A registry that is read only writes nothing."""
    client = Client(Registry(store, Settings(read_only=True)))
    assert [client.head(path).status_code for path in PATHS] == [200, 200]
    assert held() == [False, False]


def test_what_cannot_be_renewed_is_there_all_the_same(
    trapped: LayerService, trap: Trap, held: Callable[[], list[bool]]
) -> None:
    """The answer to HEAD does not depend on it."""
    client = Client(Registry(trapped))
    for path in PATHS:
        trap.set(of("open_writer"), fail)
        assert (client.head(path).status_code, trap.sprung) == (200, True)
    assert held() == [False, False]


class Crowd:
    """Clients of several nodes that push images of the same few layers, and remember which were promised."""

    def __init__(self, nodes: list[Node]) -> None:
        """Have promised nothing."""
        self.nodes = nodes
        self.promised: dict[str, tuple[bytes, list[bytes]]] = {}
        self.wrong: list[object] = []
        self.refused = 0

    def say(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask any node."""
        return random.choice(self.nodes).request(method, f"/v2/{NAME}/{path}", body, **headers)

    def client(self, seed: int) -> None:
        """Push images, and indexes of them, each by a tag of its own; take every second one away again."""
        chance = random.Random(seed)
        for number in range(12):
            layers = chance.sample(LAYERS, 2)
            data = image(CONFIG, *layers, annotations={"of": f"{seed}.{number}"})
            blobs = [CONFIG, *layers, data]
            self.push(f"t{seed}.{number}", data, blobs, OCI_IMAGE)
            if number % 3 == 0:
                self.push(f"i{seed}.{number}", index(data), [*blobs, index(data)], OCI_INDEX)
            if number % 2:
                self.promised.pop(f"t{seed}.{number}")
                self.say("DELETE", f"manifests/t{seed}.{number}")
            self.check(chance.choice([name for name in list(self.promised) if name[1:].startswith(f"{seed}.")]))

    def push(self, tag: str, data: bytes, blobs: list[bytes], kind: str) -> None:
        """Push until it is answered by 201: what was collected meanwhile is pushed again."""
        while True:
            for blob in blobs[:3]:
                if self.say("HEAD", f"blobs/{digest(blob)}").status != 200:
                    self.say("POST", f"blobs/uploads/?digest={digest(blob)}", blob)
            if kind == OCI_INDEX:
                self.say("PUT", f"manifests/{digest(blobs[3])}", blobs[3], Content_Type=OCI_IMAGE)
            answer = self.say("PUT", f"manifests/{tag}", data, Content_Type=kind)
            if answer.status == 201:
                self.promised[tag] = data, blobs
                return
            self.refused += 1
            self.wrong += [] if answer.status == 400 and b"MANIFEST_BLOB_UNKNOWN" in answer.body else [answer]

    def check(self, tag: str) -> None:
        """Pull what was promised."""
        data, blobs = self.promised[tag]
        if self.say("GET", f"manifests/{tag}").body != data:
            self.wrong.append(tag)
        for blob in blobs:
            place = "manifests" if blob.startswith(b'{"schema') else "blobs"
            answer = self.say("GET", f"{place}/{digest(blob)}")
            self.wrong += [] if answer.body == blob else [(tag, answer)]


def collecting(url: str, done: threading.Event) -> None:
    """Collect without a grace, in processes, every other one of which is killed."""
    words = ["gc", "--unreferenced", "--untagged", "--grace", "0s", "--store", url]
    for number in itertools.count():
        process = subprocess.Popen(
            [sys.executable, "-m", "layerstore", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if number % 2 and not done.is_set():
            assert process.stdout
            done.wait(random.uniform(0.3, 1.5))
            process.kill()
        process.communicate()
        if done.is_set():
            return


def test_beside_collections_without_a_grace_every_answered_image_is_whole(tmp_path: Path) -> None:
    """By processes of several nodes, and collections that are killed; afterwards nothing is left that nobody needs."""
    url, done = f"local:{tmp_path / 'store'}", threading.Event()
    with ExitStack() as stack:
        logs = [tmp_path / f"log{number}" for number in range(2)]
        crowd = Crowd([stack.enter_context(serving("--workers", "2", store=url, log=log)) for log in logs])
        clients = [threading.Thread(target=crowd.client, args=(seed,)) for seed in range(3)]
        collector = threading.Thread(target=collecting, args=(url, done))
        for thread in (*clients, collector):
            thread.start()
        for thread in clients:
            thread.join()
        done.set()
        collector.join()
        for tag in crowd.promised:
            crowd.check(tag)
    assert crowd.wrong == []
    with layerstore.open(url) as store:
        gc(store)
        wanted = {digest(blob) for _, blobs in crowd.promised.values() for blob in blobs}
        assert {str(found.digest) for found in store.layers(NAME)} == {
            each for each in wanted if each in map(digest, [CONFIG, *LAYERS])
        }
        assert {finding.kind for finding in store.scrub()} == {"ok"}
