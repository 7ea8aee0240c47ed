"""Who may do what: users of a file, rules, and the options that say so."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any

import bcrypt
import click
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from layerstore_registry.access.admission import admission
from layerstore_registry.access.htpasswd import CHALLENGE, COMPARED, MOST, REMEMBERED, Htpasswd, UsersError, parse
from layerstore_registry.access.rights import Access, Scope
from layerstore_registry.access.rules import Rules, RulesError, pattern
from layerstore_registry.access.throttle import KEPT, Throttle

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, Client, basic, digest
else:
    from registry_client import NAME, UPLOADS, Client, basic, digest

DATA = b"a layer"
SALT = b"$2b$04$" + b"a" * 21 + b"u"
HASHES = {name: bcrypt.hashpw(f"{name}'s".encode(), SALT) for name in ("alice", "bob", "zoë")}
FILE = "# users\n\n" + "".join(f"{name}:{hashed.decode()}\n" for name, hashed in HASHES.items())


class Clock:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Hold the time."""
    return Clock()


def simple(readers: tuple[str, ...] = (), *, anonymous: bool = False) -> Rules:
    """Allow users all, or as much as is said."""
    return Rules.simple(HASHES, readers, anonymous_pull=anonymous)


@pytest.fixture
def guarded(guard: Callable[[Access], Client], client: Client, clock: Clock) -> Client:
    """Serve a store that has a blob to users only, of whom bob may only pull."""
    client.push_blob(DATA)
    throttle = Throttle(3, 60, clock)
    return guard(Htpasswd(parse(FILE), simple(("bob",)), throttle=throttle, clock=clock))


BLOB = f"/v2/{NAME}/blobs/{digest(DATA)}"
RESOURCES = [
    ("GET", "/v2/"),
    ("GET", "/v2/_catalog"),
    ("GET", BLOB),
    ("HEAD", BLOB),
    ("DELETE", BLOB),
    ("POST", UPLOADS),
    ("GET", f"{UPLOADS}x"),
    ("PATCH", f"{UPLOADS}x"),
    ("PUT", f"{UPLOADS}x"),
    ("DELETE", f"{UPLOADS}x"),
    ("GET", f"/v2/{NAME}/manifests/v1"),
    ("PUT", f"/v2/{NAME}/manifests/v1"),
    ("DELETE", f"/v2/{NAME}/manifests/v1"),
    ("GET", f"/v2/{NAME}/tags/list"),
    ("GET", f"/v2/{NAME}/referrers/{digest(DATA)}"),
]


@pytest.mark.parametrize(("method", "path"), RESOURCES)
def test_whoever_does_not_say_who_they_are_is_asked(guarded: Client, method: str, path: str) -> None:
    """Whatever they want."""
    answer = guarded.open(path, method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == CHALLENGE
    assert method == "HEAD" or guarded.code(answer) == (401, "UNAUTHORIZED")


def test_who_watches_is_not_asked(guarded: Client) -> None:
    """They learn nothing of what is stored."""
    assert [guarded.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


@pytest.mark.parametrize(
    "headers",
    [
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("alice", "bob's"),
        basic("nobody", "alice's"),
        basic("", ""),
        basic("alice", "alice's\0"),
        basic("alice", "x" * 100),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"alice").decode()},
        {"Authorization": "Bearer alice"},
        {"Authorization": ""},
    ],
)
def test_whoever_is_not_who_they_say_is_refused(guarded: Client, headers: dict[str, str]) -> None:
    """Though they could have had it without saying anything."""
    assert guarded.code(guarded.get("/v2/", headers=headers)) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("name", HASHES)
def test_users_may_what_they_may(guarded: Client, name: str) -> None:
    """One who may only pull is refused everything else, and not asked again who they are."""
    headers = basic(name)
    assert guarded.get("/v2/", headers=headers).status_code == 200
    assert guarded.get(BLOB, headers=headers).data == DATA
    assert json.loads(guarded.get("/v2/_catalog", headers=headers).data) == {"repositories": [NAME]}
    pushed, deleted = guarded.post(UPLOADS, headers=headers), guarded.delete(BLOB, headers=headers)
    if name == "bob":
        assert guarded.code(pushed) == guarded.code(deleted) == (403, "DENIED")
    else:
        assert (pushed.status_code, deleted.status_code) == (202, 202)


def test_everybody_may_pull_where_that_was_said(guard: Callable[[Access], Client], client: Client) -> None:
    """And nothing else; whoever asks for the base is asked, for clients that can log in learn it there."""
    client.push_blob(DATA)
    guarded = guard(Htpasswd(parse(FILE), simple(anonymous=True)))
    assert guarded.get(BLOB).data == DATA
    assert json.loads(guarded.get("/v2/_catalog").data) == {"repositories": [NAME]}
    assert [guarded.get("/v2/").status_code, guarded.post(UPLOADS).status_code] == [401, 401]
    assert guarded.get(BLOB, headers=basic("", "")).data == DATA  # as some clients say nothing
    assert guarded.get(BLOB, headers=basic("alice", "wrong")).status_code == 401


def test_failed_logins_are_limited(guarded: Client, clock: Clock) -> None:
    """Of one user from one address; others go on, and so does one who was right before."""
    assert guarded.get("/v2/", headers=basic("bob")).status_code == 200
    for name in ("alice", "bob"):
        for _ in range(3):
            assert guarded.get("/v2/", headers=basic(name, "wrong")).status_code == 401
    answer = guarded.get("/v2/", headers=basic("alice"))
    assert guarded.code(answer) == (429, "TOOMANYREQUESTS")
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert guarded.get("/v2/", headers=basic("zoë")).status_code == 200
    assert guarded.get("/v2/", headers=basic("bob")).status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    assert guarded.get("/v2/", headers=basic("alice"), environ_overrides=elsewhere).status_code == 200
    for _ in range(2):  # limited once more when the time is over
        clock.now += 61
        for status in (401, 401, 401, 429):
            assert guarded.get("/v2/", headers=basic("alice", "wrong")).status_code == status


def test_failed_logins_of_an_address_are_limited(
    guard: Callable[[Access], Client], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever names; no password is compared then, and one who was right before goes on."""
    compared: list[bytes] = []
    real = bcrypt.checkpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        compared.append(password)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    guarded = guard(Htpasswd(parse(FILE), simple(), addresses=Throttle(5, 60, clock), clock=clock))
    assert guarded.get("/v2/", headers=basic("bob")).status_code == 200
    statuses = [guarded.get("/v2/", headers=basic(f"guess{number}")).status_code for number in range(8)]
    assert (statuses, len(compared)) == ([401] * 5 + [429] * 3, 6)
    assert guarded.get("/v2/", headers=basic("bob")).status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    assert guarded.get("/v2/", headers=basic("alice"), environ_overrides=elsewhere).status_code == 200
    assert Htpasswd(parse(FILE), simple())._addresses._most == MOST


def test_few_passwords_are_compared_at_once(guard: Callable[[Access], Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait, and leave cores to those who are in."""
    too_many = Barrier(COMPARED + 1)
    met: list[int] = []

    def checkpw(password: bytes, hashed: bytes) -> bool:
        with suppress(BrokenBarrierError):
            met.append(too_many.wait(0.1))
        return False

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    guarded = guard(Htpasswd(parse(FILE), simple()))
    with ThreadPoolExecutor(COMPARED * 3) as threads:
        answers = list(threads.map(lambda name: guarded.get("/v2/", headers=basic(name)), "abcdef"))
    assert [answer.status_code for answer in answers] == [401] * 6
    assert met == []


def test_of_failures_not_all_are_remembered(clock: Clock) -> None:
    """Whoever has many addresses fills no memory."""
    throttle = Throttle(1, 60, clock)
    for number in range(KEPT + 5):
        throttle.failed(number)
    assert len(throttle._failed) == KEPT
    assert (throttle.wait(0), throttle.wait(KEPT)) == (0, 60)


def test_a_password_is_hashed_once_in_a_while(guarded: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push is many requests; one that was wrong is hashed each time, and so is one of a user who is not there."""
    asked: list[bytes] = []
    real = bcrypt.checkpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        asked.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    for _ in range(5):
        guarded.get("/v2/", headers=basic("alice"))
    assert asked == [HASHES["alice"]]
    clock.now += REMEMBERED + 1
    guarded.get("/v2/", headers=basic("alice"))
    guarded.get("/v2/", headers=basic("nobody"))
    guarded.get("/v2/", headers=basic("nobody"))
    assert asked == [HASHES["alice"]] * 4


def test_a_password_that_was_right_is_one_users(guarded: Client) -> None:
    """Nobody else is let in by it, though it is remembered."""
    assert guarded.get("/v2/", headers=basic("alice")).status_code == 200
    for name in ("bob", "nobody"):
        assert guarded.get("/v2/", headers=basic(name, "alice's")).status_code == 401


def test_of_a_long_password_the_beginning_counts(guard: Callable[[Access], Client]) -> None:
    """As for whatever wrote the file: bcrypt looks at no more."""
    hashed = bcrypt.hashpw(b"x" * 72, SALT)
    guarded = guard(Htpasswd({"alice": hashed}, simple()))
    assert guarded.get("/v2/", headers=basic("alice", "x" * 100)).status_code == 200
    assert guarded.get("/v2/", headers=basic("alice", "x" * 71 + "y" * 29)).status_code == 401


def test_mounting_needs_pull_of_the_source(guard: Callable[[Access], Client], client: Client) -> None:
    """Who may not, uploads: they do not learn whether it is there."""
    client.push_blob(DATA, "secret/x")
    text = '[[allow]]\nusers = ["alice", "bob"]\nrepositories = ["open"]\nactions = ["push"]\n'
    text += '[[allow]]\nusers = ["alice"]\nrepositories = ["secret/*"]\nactions = ["pull"]\n'
    guarded = guard(Htpasswd(parse(FILE), Rules.parse(text, HASHES)))
    query = {"mount": digest(DATA), "from": "secret/x"}
    for name, status in (("bob", 202), ("alice", 201)):
        assert guarded.post("/v2/open/blobs/uploads/", query_string=query, headers=basic(name)).status_code == status


RULES = """
[[allow]]
users = ["alice"]
repositories = ["team/*", "base"]
actions = ["pull", "push"]

[[allow]]
users = ["*"]
repositories = ["shared/**"]
actions = ["pull"]

[[allow]]
anonymous = true
repositories = ["public/**"]
actions = ["pull"]
"""

ALLOWED = [
    ("alice", "team/a", "push", True),
    ("alice", "team/a", "delete", False),
    ("alice", "team/a/b", "push", False),
    ("alice", "xteam/a", "push", False),
    ("alice", "team", "push", False),
    ("alice", "base", "pull", True),
    ("alice", "basex", "pull", False),
    ("bob", "team/a", "pull", False),
    ("bob", "shared/a/b/c", "pull", True),
    ("bob", "shared/a", "push", False),
    ("bob", "public/x", "pull", True),
    (None, "shared/a", "pull", False),
    (None, "public/a/b", "pull", True),
    (None, "public/a", "push", False),
    ("*", "team/a", "pull", False),
]


@pytest.mark.parametrize(("user", "name", "action", "allowed"), ALLOWED)
def test_what_no_rule_allows_is_refused(user: str | None, name: str, action: Any, *, allowed: bool) -> None:
    """By user, repository and action."""
    assert Rules.parse(RULES, HASHES).may(user, Scope(name, action)) is allowed


def test_a_list_holds_what_one_may_pull(guard: Callable[[Access], Client], client: Client) -> None:
    """In pages, too."""
    for name in ("base", "other", "public/a", "shared/a", "team/a"):
        client.begin(name)
    guarded = guard(Htpasswd(parse(FILE), Rules.parse(RULES, HASHES)))

    def listed(headers: dict[str, str], query: str = "") -> Any:
        return json.loads(guarded.get(f"/v2/_catalog{query}", headers=headers).data)["repositories"]

    assert listed(basic("alice")) == ["base", "public/a", "shared/a", "team/a"]
    assert listed(basic("alice"), "?n=2") == ["base", "public/a"]
    assert listed({}) == ["public/a"]


BAD_RULES = [
    "x",
    "[allow]",
    "[[allow]]",
    "x = 1",
    '[[allow]]\nusers = ["nobody"]\nrepositories = ["a"]\nactions = ["pull"]',
    '[[allow]]\nusers = ["alice"]\nrepositories = ["a"]\nactions = ["fly"]',
    '[[allow]]\nusers = ["alice"]\nrepositories = ["a"]\nactions = ["catalog"]',
    '[[allow]]\nusers = ["alice"]\nrepositories = ["a"]',
    '[[allow]]\nusers = "alice"\nrepositories = ["a"]\nactions = ["pull"]',
    '[[allow]]\nusers = ["alice"]\nrepository = ["a"]\nactions = ["pull"]',
    '[[allow]]\nanonymous = "no"\nrepositories = ["a"]\nactions = ["pull"]',
    '[[allow]]\nanonymous = false\nrepositories = ["a"]\nactions = ["pull"]',
    '[[allow]]\nusers = ["alice"]\nrepositories = [1]\nactions = ["pull"]',
]


@pytest.mark.parametrize("text", BAD_RULES)
def test_rules_that_are_not_understood_are_refused(text: str) -> None:
    """Rather than taken for others."""
    with pytest.raises(RulesError):
        Rules.parse(text, HASHES)


TAKEN = [
    ("a.c", "a.c", True),
    ("a.c", "abc", False),
    ("a+", "aa", False),
    ("*", "a/b", False),
    ("a/*", "a/", True),
    ("a*", "a", True),
    ("(**)", "a", False),
    ("(**)", "(a/b)", True),
]


@pytest.mark.parametrize(("text", "name", "taken"), TAKEN)
def test_a_pattern_is_taken_by_the_letter(text: str, name: str, *, taken: bool) -> None:
    """But for its stars."""
    assert bool(pattern(text).fullmatch(name)) is taken


BAD_USERS = ["", "# nobody\n", "alice", "alice:plain", "alice:{SHA}xxx", ":" + HASHES["bob"].decode(), FILE + FILE]


@pytest.mark.parametrize("text", BAD_USERS)
def test_users_that_are_not_understood_are_refused(text: str) -> None:
    """The line is named, and nothing of what stands there is told."""
    with pytest.raises(UsersError) as caught:
        parse(text)
    assert "plain" not in str(caught.value)


# Options

KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

NONE: dict[str, Any] = dict.fromkeys(
    ("htpasswd", "rules", "token_realm", "token_service", "token_issuer", "token_keys", "anonymous_pull")
) | {"read_only_user": ()}


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    """And files that are not in order; what stands in these is not told."""
    users, keys, bad = tmp_path / "users", tmp_path / "keys", tmp_path / "bad"
    users.write_text(FILE, encoding="utf-8")
    keys.write_text(KEY)
    bad.write_text("alice:secret")
    token = {"token_realm": "https://auth.example/token", "token_service": "x", "token_issuer": "y", "token_keys": keys}
    for told in (
        {"anonymous_pull": True},
        {"read_only_user": ("alice",)},
        {"rules": users},
        {"htpasswd": bad},
        {"htpasswd": tmp_path},
        {"htpasswd": users, "rules": bad},
        {"htpasswd": users, "rules": bad, "anonymous_pull": True},
        {"htpasswd": users, "read_only_user": ("nobody",)},
        {"token_realm": "https://auth.example/token"},
        token | {"htpasswd": users},
        token | {"token_keys": bad},
        token | {"token_realm": 'x"y'},
        token | {"token_service": "x\ny"},
    ):
        with pytest.raises(click.UsageError) as caught:
            admission(NONE | told)
        assert "secret" not in str(caught.value)
    for told in ({}, {"htpasswd": users}, {"htpasswd": users, "read_only_user": ("bob",)}, token):
        assert admission(NONE | told).asks is bool(told)
