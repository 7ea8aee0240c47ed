"""Access control, as the options select it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerstore_registry.access.htpasswd import Htpasswd, UsersError, parse
from layerstore_registry.access.rights import Access, Open
from layerstore_registry.access.rules import Rules, RulesError
from layerstore_registry.access.tokens import KeysError, Tokens, read_keys

_TOKEN = ("token_realm", "token_service", "token_issuer", "token_keys")
_USERS = ("read_only_user", "anonymous_pull", "rules")


def admission(options: dict[str, Any]) -> Access:
    """Read users, rules and keys.

    Raises:
        click.UsageError: options that do not go together, or a file that is not understood.
    """
    token = [name for name in _TOKEN if options[name]]
    if token:
        return _tokens(options, token)
    if options["htpasswd"]:
        return _htpasswd(options)
    alone = [name for name in _USERS if options[name]]
    if alone:
        raise click.UsageError(f"--{alone[0].replace('_', '-')} goes with --htpasswd.")
    return Open()


def _htpasswd(options: dict[str, Any]) -> Htpasswd:
    path: Path = options["htpasswd"]
    try:
        users = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UsersError) as error:
        raise click.UsageError(f"{path}: {_why(error)}") from error
    return Htpasswd(users, _rules(options, users))


def _rules(options: dict[str, Any], users: dict[str, bytes]) -> Rules:
    path, readers = options["rules"], options["read_only_user"]
    unknown = set(readers) - set(users)
    if unknown:
        raise click.UsageError(f"--read-only-user: no user {', '.join(sorted(unknown))}.")
    if path is None:
        return Rules.simple(users, readers, anonymous_pull=options["anonymous_pull"])
    if readers or options["anonymous_pull"]:
        raise click.UsageError("--rules says all: --read-only-user and --anonymous-pull do not go with it.")
    try:
        return Rules.parse(path.read_text(encoding="utf-8"), users)
    except (OSError, UnicodeDecodeError, RulesError) as error:
        raise click.UsageError(f"{path}: {_why(error)}") from error


def _tokens(options: dict[str, Any], given: list[str]) -> Tokens:
    if len(given) < len(_TOKEN):
        raise click.UsageError(f"{', '.join('--' + name.replace('_', '-') for name in _TOKEN)} go together.")
    other = [name for name in ("htpasswd", *_USERS) if options[name]]
    if other:
        raise click.UsageError(f"--{other[0].replace('_', '-')} does not go with tokens.")
    realm, service, path = options["token_realm"], options["token_service"], options["token_keys"]
    if any(char in told or not told.isprintable() for told in (realm, service) for char in '"\\'):
        raise click.UsageError("--token-realm and --token-service stand in a header: no quotes in them.")
    try:
        keys = read_keys(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, KeysError) as error:
        raise click.UsageError(f"{path}: {_why(error)}") from error
    return Tokens(realm, service, options["token_issuer"], keys)


def _why(error: Exception) -> str:
    """Return the reason, without text from the file, which may be secret."""
    return "not text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
