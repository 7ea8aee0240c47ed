"""Rules: which users may do what to which repositories.

A TOML file has tables, each of which allows something. Everything else is refused:

    [[allow]]
    users = ["alice", "ci"]            # "*": everybody who has logged in
    repositories = ["team/*", "base"]  # *: within a part of a name; **: parts, any number of them
    actions = ["pull", "push", "delete"]

    [[allow]]
    anonymous = true                   # everybody, with a login or without
    repositories = ["public/**"]
    actions = ["pull"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, Self, get_args

from layerstore_registry.access.rights import Action, Scope

ACTIONS: Final = tuple(action for action in get_args(Action) if action != "catalog")
_KEYS: Final = {"users", "anonymous", "repositories", "actions"}


class RulesError(ValueError):
    """Rules that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission."""

    users: frozenset[str]
    anonymous: bool
    repositories: tuple[re.Pattern[str], ...]
    actions: frozenset[str]

    @classmethod
    def read(cls, table: object) -> Self:
        """Read a table.

        Raises:
            RulesError: it is not understood.
        """
        if not isinstance(table, dict) or not set(table) <= _KEYS:
            raise RulesError(f"a rule has {', '.join(sorted(_KEYS))} and nothing else: {table!r}")
        actions = _texts(table, "actions")
        if not actions or not set(actions) <= set(ACTIONS):
            raise RulesError(f"actions are of {', '.join(ACTIONS)}: {table!r}")
        anonymous, users = table.get("anonymous", False), _texts(table, "users")
        if not isinstance(anonymous, bool) or not (anonymous or users):
            raise RulesError(f"a rule is for users, or has anonymous = true: {table!r}")
        patterns = tuple(map(pattern, _texts(table, "repositories")))
        return cls(frozenset(users), anonymous, patterns, frozenset(actions))

    def allows(self, user: str | None, scope: Scope) -> bool:
        """Return whether this rule allows it."""
        named = self.anonymous or (user is not None and (user in self.users or "*" in self.users))
        return named and scope.action in self.actions and any(each.fullmatch(scope.name) for each in self.repositories)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules."""

    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, text: str, users: Collection[str]) -> Self:
        """Read a file's text. ``users`` are all users that exist.

        Raises:
            RulesError: it is not understood, or names a user who does not exist.
        """
        try:
            told = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RulesError(str(error)) from error
        tables = told.get("allow")
        if set(told) - {"allow"} or not isinstance(tables, list):
            raise RulesError("expected tables [[allow]], and nothing else")
        rules = tuple(map(Rule.read, tables))
        unknown = {name for rule in rules for name in rule.users} - {*users, "*"}
        if unknown:
            raise RulesError(f"no users {', '.join(sorted(unknown))}")
        return cls(rules)

    @classmethod
    def simple(cls, users: Iterable[str], readers: Collection[str], *, anonymous_pull: bool) -> Self:
        """Allow users everything, except readers, who may only pull. With ``anonymous_pull``, everybody may pull."""
        everything = (pattern("**"),)
        writers = frozenset(users) - frozenset(readers)
        return cls(
            (
                Rule(writers, anonymous=False, repositories=everything, actions=frozenset(ACTIONS)),
                Rule(frozenset(readers), anonymous_pull, everything, frozenset({"pull"})),
            )
        )

    def may(self, user: str | None, scope: Scope) -> bool:
        """Return whether a user has a permission. A list of all repositories has only those that the user may pull."""
        if scope.action == "catalog":
            return user is not None or any(rule.anonymous and "pull" in rule.actions for rule in self.rules)
        return any(rule.allows(user, scope) for rule in self.rules)


def pattern(text: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern for repositories."""
    parts = re.split(r"(\*\*|\*)", text)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))


def _texts(table: dict[str, Any], key: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RulesError(f"{key} is a list of texts: {table!r}")
    return value
