"""Tokens of an external server: the Docker registry's token protocol.

If a client has no token, or its token does not allow enough, the answer says where to get one, and for which
permissions. A token is a JWT. It must be signed with one of the given keys, by that key's algorithm; it must come from
the issuer, be for this service, and not be expired. Its ``access`` lists what the client may do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from layerstore_registry.access.rights import CATALOG, Scope, Who, unauthorized

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from layerstore_registry.refusals import Refusal

LEEWAY: Final = 30
"""Seconds by which clocks may differ."""

_CURVES: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


class KeysError(ValueError):
    """Keys that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, the algorithms for it, and its name, if it has one."""

    key: Any
    algorithms: tuple[str, ...]
    name: str | None = None


def read_keys(text: str) -> list[Key]:
    """Read keys: a JSON Web Key Set, or public keys and certificates in PEM.

    Raises:
        KeysError: there are no keys, or one is not understood, or is a private key.
    """
    try:
        found = _json_keys(text) if text.lstrip().startswith("{") else list(_pem_keys(text))
    except (AttributeError, TypeError, ValueError, jwt.PyJWTError, UnsupportedAlgorithm) as error:
        raise KeysError(f"not understood: {error}") from error
    if not found:
        raise KeysError("no keys")
    return found


def _json_keys(text: str) -> list[Key]:
    body = json.loads(text)
    keys = body["keys"] if isinstance(body.get("keys"), list) else [body]
    return [_key(jwt.PyJWK(each).key, each.get("kid")) for each in keys]


def _pem_keys(text: str) -> Iterable[Key]:
    for part in text.split("-----BEGIN ")[1:]:
        block = f"-----BEGIN {part}".encode("ascii")
        if part.startswith("CERTIFICATE"):
            yield _key(x509.load_pem_x509_certificate(block).public_key(), None)
        else:
            yield _key(load_pem_public_key(block), None)


def _key(key: object, name: str | None) -> Key:
    if isinstance(key, rsa.RSAPublicKey):
        return Key(key, _RSA, name)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return Key(key, _CURVES[key.curve.name], name)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Key(key, ("EdDSA",), name)
    raise KeysError("not a public key of RSA, ECDSA or Ed25519")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A client with a token, and the token's permissions. Without a token it has none."""

    name: str | None = None
    granted: frozenset[Scope] = field(default_factory=frozenset)

    def may(self, scope: Scope) -> bool:
        """Return whether the token allows it."""
        return scope in self.granted

    def sees(self, name: str) -> bool:
        """Return whether the token allows a list of all repositories."""
        del name
        return CATALOG in self.granted


@dataclass(frozen=True, slots=True)
class Tokens:
    """Access by a token."""

    realm: str
    """The URL from which clients get tokens."""
    service: str
    """The token server's name for this registry."""
    issuer: str
    keys: Sequence[Key]
    asks = True

    def identify(self, request: Request) -> Who:
        """Return the user of the token, or an anonymous one if there is no token."""
        if "Authorization" not in request.headers:
            return Bearer()
        told = request.authorization
        if told is None or told.type != "bearer" or not told.token:
            raise unauthorized(self._challenge(()))
        for key in self._candidates(told.token):
            try:
                return self._bearer(told.token, key)
            except (jwt.InvalidTokenError, ValueError):
                continue
        raise unauthorized(self._challenge((), "invalid_token"), "the token is not good")

    def missing(self, who: Who, scopes: Sequence[Scope]) -> Refusal:
        """Refuse, and say which permissions the token needs."""
        error = "" if who.name is None else "insufficient_scope"
        return unauthorized(self._challenge(scopes, error), "get a token")

    def _candidates(self, token: str) -> Iterable[Key]:
        try:
            name = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            return ()
        return [key for key in self.keys if key.name == name] or [key for key in self.keys if key.name is None]

    def _bearer(self, token: str, key: Key) -> Bearer:
        claims = jwt.decode(
            token,
            key.key,
            algorithms=list(key.algorithms),
            audience=self.service,
            issuer=self.issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"]},
        )
        return Bearer(str(claims.get("sub") or ""), frozenset(_granted(claims.get("access"))))

    def _challenge(self, scopes: Sequence[Scope], error: str = "") -> str:
        parts = [f'Bearer realm="{self.realm}"', f'service="{self.service}"']
        parts += [f'scope="{" ".join(_spelled(scopes))}"'] if scopes else []
        parts += [f'error="{error}"'] if error else []
        return ",".join(parts)


def _granted(access: object) -> Iterable[Scope]:
    """Yield the permissions in a token's ``access``. An entry that is not understood grants nothing."""
    for entry in access if isinstance(access, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("actions"), list):
            continue
        name, actions = entry.get("name"), entry["actions"]
        if entry.get("type") == "registry" and name == "catalog" and "*" in actions:
            yield CATALOG
        elif entry.get("type") == "repository" and isinstance(name, str) and name:
            wanted = ("pull", "push", "delete") if "*" in actions else actions
            for action in ("pull", "push", "delete"):
                if action in wanted:
                    yield Scope(name, action)


def _spelled(scopes: Sequence[Scope]) -> Iterable[str]:
    """Return the permissions in the form in which clients ask their token server for them. A push needs a pull, too."""
    for scope in scopes:
        if scope.action == "catalog":
            yield "registry:catalog:*"
        else:
            yield f"repository:{scope.name}:{'pull,push' if scope.action == 'push' else scope.action}"
