"""Rights: what a request wants, and who asks."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from layerstore_registry.refusals import Refusal

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

Action = Literal["pull", "push", "delete", "catalog"]


class Scope(NamedTuple):
    """Something that is wanted of a repository; of none, for a list of all."""

    name: str
    action: Action


CATALOG: Final = Scope("", "catalog")


class Who(Protocol):
    """Somebody who asks."""

    @property
    def name(self) -> str | None:
        """What they are called; None: nobody knows."""

    def may(self, scope: Scope) -> bool:
        """Tell whether they may have something."""

    def sees(self, name: str) -> bool:
        """Tell whether a list of all names has a repository for them, if they may have one."""


class Access(Protocol):
    """A way to find out who asks, and to say what is missing."""

    def identify(self, request: Request) -> Who:
        """Return who asks.

        Raises:
            Refusal: they say who they are, and it is not so.
        """

    def missing(self, who: Who, scopes: Sequence[Scope]) -> Refusal:
        """Return the refusal of somebody who may not have all of what is wanted; of nothing, of who did not say who."""

    @property
    def asks(self) -> bool:
        """Whether clients have to learn, before anything else, how to say who they are."""


class Anybody:
    """Whoever asks, where nobody is asked: they may do everything."""

    name = None

    def may(self, scope: Scope) -> bool:
        """Say so."""
        del scope
        return True

    def sees(self, name: str) -> bool:
        """Say so."""
        del name
        return True


class Open:
    """No access control."""

    asks = False

    def identify(self, request: Request) -> Who:
        """Return anybody."""
        del request
        return Anybody()

    def missing(self, who: Who, scopes: Sequence[Scope]) -> Refusal:
        """Refuse; nobody comes here."""
        del who, scopes
        return denied()


def unauthorized(challenge: str, message: str = "say who you are") -> Refusal:
    """Ask who is asking."""
    headers = {"WWW-Authenticate": challenge}
    return Refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", message, headers=headers)


def denied() -> Refusal:
    """Refuse somebody who is known."""
    return Refusal(HTTPStatus.FORBIDDEN, "DENIED", "you may not do this")
