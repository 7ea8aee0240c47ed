"""Users in a file that ``htpasswd -B`` writes. They send their password with each request.

bcrypt takes long on purpose, and a push is many requests. So a right password is remembered for some minutes, as a
keyed hash, in memory. A client that guesses passwords cannot find out faster whether a user exists, and has to wait.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Final

import bcrypt

from layerstore_registry.access.rights import Scope, Who, denied, unauthorized
from layerstore_registry.access.throttle import Throttle
from layerstore_registry.refusals import Refusal

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from layerstore_registry.access.rules import Rules

CHALLENGE: Final = 'Basic realm="layerstore", charset="UTF-8"'
REMEMBERED: Final = 300.0
"""Seconds for which a right password is remembered."""

KEPT: Final = 10_000
COMPARED: Final = 2
"""Passwords that are compared at a time; each keeps a core busy for long."""

MOST: Final = 100
"""Failed logins of one address in a minute, under any names."""

LONGEST: Final = 72
"""The bytes of a password that bcrypt uses."""

_LINE = re.compile(r"([^:\s][^:]*):(\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53})")


class UsersError(ValueError):
    """A file of users that is not understood. The message does not quote the file, which may hold a secret."""


def parse(text: str) -> dict[str, bytes]:
    """Read a file's text, and return the hash of each user's password.

    Raises:
        UsersError: a line is not of the form ``name:bcrypt``, or there are no lines.
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UsersError(f"line {number} is not of the form name:hash, of bcrypt (htpasswd -B)")
        if match[1] in found:
            raise UsersError(f"line {number} is of a user who is there already")
        found[match[1]] = match[2].encode("ascii")
    if not found:
        raise UsersError("nobody is in it")
    return found


@dataclass(frozen=True, slots=True)
class User:
    """A client, with a name or without one."""

    name: str | None
    rules: Rules

    def may(self, scope: Scope) -> bool:
        """Return whether the rules allow it."""
        return self.rules.may(self.name, scope)

    def sees(self, name: str) -> bool:
        """Return whether they may pull from it."""
        return self.may(Scope(name, "pull"))


class Htpasswd:
    """Access by name and password."""

    asks = True

    def __init__(
        self,
        users: dict[str, bytes],
        rules: Rules,
        *,
        throttle: Throttle | None = None,
        addresses: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the users, and the rules for them."""
        self._users = users
        self._rules = rules
        self._throttle = throttle or Throttle()
        self._addresses = addresses or Throttle(MOST)
        self._comparing = BoundedSemaphore(COMPARED)
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}
        self._lock = Lock()

    def identify(self, request: Request) -> Who:
        """Return the user who sends a request, or an anonymous one if it has no login."""
        if "Authorization" not in request.headers:
            return User(None, self._rules)
        told = request.authorization
        if told is None or told.type != "basic" or told.username is None or told.password is None:
            raise unauthorized(CHALLENGE)
        if not told.username and not told.password:
            return User(None, self._rules)  # as skopeo and podman spell that they have no login
        self._check(str(request.remote_addr), told.username, told.password.encode("utf-8", "surrogateescape"))
        return User(told.username, self._rules)

    def missing(self, who: Who, scopes: Sequence[Scope]) -> Refusal:
        """Ask an anonymous client to log in, and refuse a known user."""
        del scopes
        return unauthorized(CHALLENGE) if who.name is None else denied()

    def _check(self, address: str, name: str, password: bytes) -> None:
        mark = self._mark(name, password)
        if self._remembers(mark):
            return
        caller = (address, name)
        wait = max(self._throttle.wait(caller), self._addresses.wait(address))
        if wait > 0:
            headers = {"Retry-After": str(int(wait) + 1)}
            status = HTTPStatus.TOO_MANY_REQUESTS
            raise Refusal(status, "TOOMANYREQUESTS", "too many logins have failed", headers=headers)
        if not self._is_right(name, password):
            self._throttle.failed(caller)
            self._addresses.failed(address)
            raise unauthorized(CHALLENGE, "name or password are wrong")
        self._remember(mark)

    def _is_right(self, name: str, password: bytes) -> bool:
        """Compare. For an unknown user it takes the same time."""
        hashed = self._users.get(name) or next(iter(self._users.values()))
        with self._comparing:
            right = bcrypt.checkpw(password[:LONGEST], hashed)
        return right and name in self._users

    def _mark(self, name: str, password: bytes) -> bytes:
        told = name.encode("utf-8", "surrogateescape") + b"\0" + password
        return hmac.new(self._secret, told, hashlib.sha256).digest()

    def _remembers(self, mark: bytes) -> bool:
        with self._lock:
            return self._right.get(mark, -1) > self._clock()

    def _remember(self, mark: bytes) -> None:
        with self._lock:
            if len(self._right) >= KEPT:
                self._right.clear()
            self._right[mark] = self._clock() + REMEMBERED
