"""Rights: the permissions that a request needs, and the user who sends it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from layerstore_registry.refusals import Refusal

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

Action = Literal["pull", "push", "delete", "catalog"]


class Scope(NamedTuple):
    """A permission that a request needs for a repository, or for no repository: to list all of them."""

    name: str
    action: Action


CATALOG: Final = Scope("", "catalog")


class Who(Protocol):
    """A user who sends a request."""

    @property
    def name(self) -> str | None:
        """The user's name; None if it is not known."""

    def may(self, scope: Scope) -> bool:
        """Return whether the user has a permission."""

    def sees(self, name: str) -> bool:
        """Return whether a list of all repositories shows this one to the user."""


class Access(Protocol):
    """A way to find out who sends a request, and to refuse it."""

    def identify(self, request: Request) -> Who:
        """Return the user who sends a request.

        Raises:
            Refusal: the login is wrong.
        """

    def missing(self, who: Who, scopes: Sequence[Scope]) -> Refusal:
        """Return the refusal of a user who lacks a permission. If none is needed, refuse a client without a login."""

    @property
    def asks(self) -> bool:
        """Whether clients must learn at first how to log in."""


class Anybody:
    """Any client, if there is no access control: it may do everything."""

    name = None

    def may(self, scope: Scope) -> bool:
        """Return True."""
        del scope
        return True

    def sees(self, name: str) -> bool:
        """Return True."""
        del name
        return True


class Open:
    """No access control."""

    asks = False

    def identify(self, request: Request) -> Who:
        """Return a client that may do everything."""
        del request
        return Anybody()

    def missing(self, who: Who, scopes: Sequence[Scope]) -> Refusal:
        """Refuse. It is never called."""
        del who, scopes
        return denied()


def unauthorized(challenge: str, message: str = "say who you are") -> Refusal:
    """Ask a client to log in."""
    headers = {"WWW-Authenticate": challenge}
    return Refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", message, headers=headers)


def denied() -> Refusal:
    """Refuse a user who is known."""
    return Refusal(HTTPStatus.FORBIDDEN, "DENIED", "you may not do this")
