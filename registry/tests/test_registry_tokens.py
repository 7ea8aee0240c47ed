"""Who may do what: bearer tokens of an external server."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from layerstore_registry.access.rights import Access
from layerstore_registry.access.tokens import KeysError, Tokens, read_keys

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, Client, basic, digest
else:
    from registry_client import NAME, UPLOADS, Client, basic, digest

DATA = b"a layer"
BLOB = f"/v2/{NAME}/blobs/{digest(DATA)}"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
REALM = "https://auth.example/token"


def pem(key: Any) -> str:
    """Write a public key."""
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def signed(
    key: Any = RSA, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **claims: Any
) -> dict[str, str]:
    """Have a token, good for an hour, and for pulling; claims of None are left out."""
    told = {"iss": "auth", "aud": "registry", "sub": "alice", "exp": int(time.time()) + 3600, "access": access("pull")}
    told = {name: claim for name, claim in (told | claims).items() if claim is not None}
    return {"Authorization": f"Bearer {jwt.encode(told, key, algorithm, headers)}"}


def access(*actions: str, name: str = NAME, kind: str = "repository") -> list[dict[str, Any]]:
    """List what a token is for."""
    return [{"type": kind, "name": name, "actions": list(actions)}]


@pytest.fixture
def tokens(guard: Callable[[Access], Client], client: Client) -> Client:
    """Serve a store that has a blob to whoever has a token."""
    client.push_blob(DATA)
    return guard(Tokens(REALM, "registry", "auth", read_keys(pem(RSA) + pem(EC) + pem(ED))))


def challenge(scope: str = "", error: str = "") -> str:
    """Spell what whoever has no token is told."""
    told = f'Bearer realm="{REALM}",service="registry"'
    return told + (f',scope="{scope}"' if scope else "") + (f',error="{error}"' if error else "")


def test_whoever_has_no_token_is_told_where_to_get_one(tokens: Client) -> None:
    """And for what."""
    expected = {
        ("GET", "/v2/"): "",
        ("GET", "/v2/_catalog"): "registry:catalog:*",
        ("GET", BLOB): f"repository:{NAME}:pull",
        ("POST", UPLOADS): f"repository:{NAME}:pull,push",
        ("PATCH", f"{UPLOADS}x"): f"repository:{NAME}:pull,push",
        ("PUT", f"/v2/{NAME}/manifests/v1"): f"repository:{NAME}:pull,push",
        ("DELETE", BLOB): f"repository:{NAME}:delete",
    }
    for (method, path), scope in expected.items():
        answer = tokens.open(path, method=method)
        assert tokens.code(answer) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"] == challenge(scope)


@pytest.mark.parametrize("name", ['a"', "a%22,error=%22x", "a%0Ab", "A"])
def test_what_is_no_name_stands_in_no_challenge(tokens: Client, name: str) -> None:
    """It is refused before anybody is asked who they are."""
    answer = tokens.get(f"/v2/{name}/tags/list")
    assert (tokens.code(answer), answer.headers.get("WWW-Authenticate")) == ((400, "NAME_INVALID"), None)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA")])
def test_a_token_lets_in(tokens: Client, key: Any, algorithm: str) -> None:
    """Signed by any of the keys, as that may sign."""
    headers = signed(key, algorithm)
    assert tokens.get("/v2/", headers=headers).status_code == 200
    assert tokens.get(BLOB, headers=headers).data == DATA
    answer = tokens.post(UPLOADS, headers=headers)
    assert answer.headers["WWW-Authenticate"] == challenge(f"repository:{NAME}:pull,push", "insufficient_scope")


def none() -> dict[str, str]:
    """Have a token that nobody has signed."""
    told = {"iss": "auth", "aud": "registry", "exp": int(time.time()) + 60, "access": access("pull")}
    return {"Authorization": f"Bearer {jwt.encode(told, '', 'none')}"}


BAD_TOKENS: dict[str, Callable[[], dict[str, str]]] = {
    "of another key": lambda: signed(OTHER),
    "of no key": none,
    "by a secret that is public": lambda: signed("x" * 40, "HS256"),
    "of another issuer": lambda: signed(iss="other"),
    "of no issuer": lambda: signed(iss=None),
    "for another service": lambda: signed(aud="other"),
    "for no service": lambda: signed(aud=None),
    "expired": lambda: signed(exp=int(time.time()) - 60),
    "for ever": lambda: signed(exp=None),
    "not yet": lambda: signed(nbf=int(time.time()) + 300),
    "garbage": lambda: {"Authorization": "Bearer x.y.z"},
    "empty": lambda: {"Authorization": "Bearer "},
    "basic": lambda: basic("alice"),
    "of a name that is no text": lambda: signed(headers={"kid": "none such"}, iss="other"),
}


@pytest.mark.parametrize("headers", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_token_that_is_not_good_is_refused(tokens: Client, headers: Callable[[], dict[str, str]]) -> None:
    """Whatever it says that it is for."""
    for path in ("/v2/", BLOB):
        answer = tokens.get(path, headers=headers())
        assert tokens.code(answer) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"].startswith(challenge())


GRANTS: list[tuple[Any, set[str]]] = [
    (access("pull"), {"GET"}),
    (access("push"), {"POST"}),
    (access("delete"), {"DELETE"}),
    (access("pull", "push"), {"GET", "POST"}),
    (access("*"), {"GET", "POST", "DELETE"}),
    (access("pull", name="other"), set()),
    (access("pull", name=""), set()),
    (access("pull", kind="registry"), set()),
    (access("*", name="catalog", kind="registry"), {"LIST"}),
    (access("*", name="catalog"), set()),
    (access("pull", name="catalog", kind="registry"), set()),
    ([], set()),
    (None, set()),
    ("pull", set()),
    (
        [1, {"type": "repository", "name": NAME, "actions": "pull"}, {"type": "repository", "name": 1, "actions": []}],
        set(),
    ),
]


@pytest.mark.parametrize(("granted", "methods"), GRANTS)
def test_a_token_is_for_what_it_says(tokens: Client, granted: Any, methods: set[str]) -> None:
    """And what is not understood of it is for nothing."""
    headers = signed(access=granted)
    found = {
        "GET": tokens.get(BLOB, headers=headers),
        "POST": tokens.post(UPLOADS, headers=headers),
        "DELETE": tokens.delete(BLOB, headers=headers),
        "LIST": tokens.get("/v2/_catalog", headers=headers),
    }
    assert {method for method, answer in found.items() if answer.status_code < 300} == methods
    assert "LIST" not in methods or json.loads(found["LIST"].data) == {"repositories": [NAME]}


def test_a_token_may_be_for_two_repositories(tokens: Client, client: Client) -> None:
    """To mount from one into the other."""
    client.push_blob(DATA, "source")
    query = {"mount": digest(DATA), "from": "source"}
    both = [*access("pull", "push"), *access("pull", name="source")]
    for granted, status in ((access("pull", "push"), 202), (both, 201)):
        assert tokens.post(UPLOADS, query_string=query, headers=signed(access=granted)).status_code == status


def test_keys_may_have_names(guard: Callable[[Access], Client], client: Client) -> None:
    """Then a token says which has signed it, and no other is tried."""
    client.push_blob(DATA)
    keys = [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) for key in (RSA, OTHER)]
    text = json.dumps({"keys": [key | {"kid": name} for key, name in zip(keys, ("a", "b"), strict=True)]})
    tokens = guard(Tokens(REALM, "registry", "auth", read_keys(text)))
    for key, name, status in ((RSA, "a", 200), (OTHER, "b", 200), (RSA, "b", 401), (RSA, "c", 401)):
        assert tokens.get(BLOB, headers=signed(key, headers={"kid": name})).status_code == status
    assert tokens.get(BLOB, headers=signed(RSA)).status_code == 401


SYMMETRIC = json.dumps({"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}]})
SECRET = json.dumps({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER))]})


NOT_UNDERSTOOD = ["", "x", "{}", '{"keys": []}', '{"keys": [1]}', SYMMETRIC, SECRET, "-----BEGIN X-----\n"]


# by number: a key is another one in each process
@pytest.mark.parametrize("text", NOT_UNDERSTOOD, ids=range(len(NOT_UNDERSTOOD)))
def test_keys_that_are_not_understood_are_refused(text: str) -> None:
    """And secret ones: they have no place here."""
    with pytest.raises(KeysError):
        read_keys(text)
