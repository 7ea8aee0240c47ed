"""Find and open drivers. Installed distributions claim URL schemes; to open a URL, one plugin is imported.

A claim is an entry point in the group ``layerstore.drivers``: its name is the scheme, its value the module that holds
the hook (:mod:`layerstore.hookspecs`). Claims are metadata; reading them imports nothing.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy

from layerstore import hookspecs
from layerstore.checked import CheckedDriver
from layerstore.driver import CONTRACT_VERSION, Capabilities, Driver
from layerstore.errors import (
    ContractVersionError,
    DriverConflictError,
    DriverLoadError,
    InvalidURLError,
    UnknownDriverError,
    UnknownOptionError,
)
from layerstore.handles import call_driver
from layerstore.url import StoreURL

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "layerstore.drivers"
"""The entry-point group of drivers."""

OWN = "layerstore"
"""layerstore's own distribution; no other can contest its claims."""

_VERSION = re.compile(r"([0-9]+)\.[0-9]+")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class DriverInfo:
    """One distribution's claim to one scheme, from its metadata; nothing was imported."""

    scheme: str
    """In lower case."""

    distribution: str
    """The name in its normal form: lower case, with dashes."""

    version: str
    """Of the distribution."""

    module: str
    """The module that is imported when a URL of the scheme is opened."""

    conflict: bool = False
    """Another distribution claims the scheme with equal right: opening it raises ``DriverConflictError``."""

    shadowed: bool = False
    """The scheme is layerstore's own, and this claim is ignored, with a warning when the scheme is opened."""


@dataclass(frozen=True, slots=True)
class _Claim:
    entry: EntryPoint
    distribution: str
    version: str

    def refused(self, detail: str) -> DriverLoadError:
        return DriverLoadError(self.entry.name, self.distribution, detail)


def installed_claims() -> Iterator[EntryPoint]:
    """Yield the claims of every installed distribution; one with unreadable metadata is logged and left out."""
    return installed(GROUP, _log_damaged)


def installed(group: str, damaged: Callable[[Distribution, Exception], None]) -> Iterator[EntryPoint]:
    """Yield the entry points of a group of every installed distribution, in the order of ``sys.path``.

    Unlike ``importlib.metadata.entry_points``, one distribution with unreadable metadata does not hide all the others:
    ``damaged`` is called with it, and it is left out.
    """
    import importlib.metadata  # a fifth of what importing layerstore would take

    for distribution in importlib.metadata.distributions():
        try:
            found = distribution.entry_points.select(group=group)
        except Exception as error:  # noqa: BLE001  (whatever a damaged distribution raises concerns it alone)
            damaged(distribution, error)
        else:
            yield from found


class Registry:
    """The drivers that can be opened. Every call reads again which are installed. Threads may share a registry."""

    def __init__(self, claims: Callable[[], Iterable[EntryPoint]] = installed_claims) -> None:
        """Take entry points from ``claims``, called each time. Of distributions with one name, the first counts."""
        self._read = claims

    def drivers(self) -> list[DriverInfo]:
        """List every claim, sorted by scheme and distribution, including those in conflict and shadowed ones.

        Imports no plugin.
        """
        listed = []
        for scheme, claims in self._claims().items():
            valid = _valid(claims)
            for claim in claims:
                conflict = claim in valid and len(valid) > 1
                about = (scheme, claim.distribution, claim.version, claim.entry.value)
                listed.append(DriverInfo(*about, conflict=conflict, shadowed=claim not in valid))
        return sorted(listed)

    def load(self, scheme: str) -> type[Driver]:
        """Import the plugin that claims a scheme or, if none does, the part of the scheme before the first ``+``.

        Raises:
            UnknownDriverError: no plugin claims it.
            DriverConflictError: several do, and none of them is layerstore itself.
            DriverLoadError: the plugin's import or hook failed, also by ``SystemExit`` (the cause is chained), or the
                hook returned no class, a class that is no ``Driver``, or one that lacks methods.
            ContractVersionError: the class is not written for this major version of the contract (clause C1), or names
                none. A newer minor version is accepted: within a major version the contract gains only things that an
                older layerstore never asks for.
        """
        return _loaded(_winner(scheme.lower(), self._found(scheme.lower())))

    def ignored(self, scheme: str) -> str:
        """Return a text on claims to a scheme of layerstore's own that are ignored; empty if there are none.

        Imports no plugin.
        """
        return _ignored(scheme, self._claims().get(scheme.lower(), []))

    def open(self, url: str | StoreURL, /, **options: Any) -> CheckedDriver:  # noqa: ANN401  (as Driver.open)
        """Open the store a URL names; see :func:`open_driver`."""
        parsed = StoreURL.parse(url) if isinstance(url, str) else url
        found = self._found(parsed.scheme)
        claim = _winner(parsed.scheme, found)
        if ignored := _ignored(parsed.scheme, found):
            _logger.warning("%s", ignored)
        driver = _loaded(claim)
        merged = _merged(parsed, options, driver.options)
        # Bound beforehand: an option may be called "key", as a parameter of call_driver is.
        opened = call_driver(parsed.scheme, str(parsed), partial(driver.open, parsed, **merged))
        _check_opened(claim, driver, opened)
        return CheckedDriver(opened, parsed.scheme)

    def _found(self, scheme: str) -> list[_Claim]:
        claims = self._claims()
        found = claims.get(scheme) or claims.get(scheme.partition("+")[0])
        if not found:
            raise UnknownDriverError(scheme, tuple(sorted(claims)))
        return found

    def _claims(self) -> dict[str, list[_Claim]]:
        claims: dict[str, list[_Claim]] = {}
        first: dict[str, Distribution | None] = {}
        for entry in self._read():
            name, version = _name_and_version(entry.dist)
            if first.setdefault(name, entry.dist) is entry.dist:  # else an older install of the same, further back
                claims.setdefault(entry.name.lower(), []).append(_Claim(entry, name, version))
        return claims


def open_driver(url: str | StoreURL, /, **options: Any) -> CheckedDriver:  # noqa: ANN401  (as Driver.open)
    """Open the driver of the store that a URL names, behind the front. Options may be in the URL or in ``options``.

    This creates nothing (clause O2). Close the driver after use. layerstore's own schemes are always opened by
    layerstore's own drivers: a claim of another distribution is ignored, with a warning in the log, so that its mistake
    keeps no user from a store.

    Raises:
        InvalidURLError: the text is no URL, the driver cannot use it, or an option is given in both places.
        UnknownDriverError: no distribution claims the scheme.
        DriverConflictError: two distributions claim the scheme.
        DriverLoadError: the plugin cannot be imported, or is no plugin; or it opened no driver, or one that declares no
            capabilities.
        ContractVersionError: the driver is written for another contract (clause C1).
        UnknownOptionError: the driver has no such option; the message lists those it has (clause O1).
        DriverError: the backend cannot be opened.
    """
    return Registry().open(url, **options)


def _log_damaged(distribution: Distribution, error: Exception) -> None:
    _logger.warning("no drivers read from %s: %r", _name_and_version(distribution)[0], error)


def _name_and_version(distribution: Distribution | None) -> tuple[str, str]:
    name = version = ""
    try:
        if distribution and (metadata := distribution.metadata):
            name, version = (str(metadata[field]) if field in metadata else "" for field in ("Name", "Version"))
    except Exception:  # noqa: BLE001, S110  (as above; a listing shows what can be known)
        pass
    return re.sub(r"[-_.]+", "-", name).lower() or "unknown", version or "unknown"


def _valid(claims: list[_Claim]) -> list[_Claim]:
    return [claim for claim in claims if claim.distribution == OWN] or claims


def _winner(scheme: str, claims: list[_Claim]) -> _Claim:
    valid = _valid(claims)
    if len(valid) > 1:
        raise DriverConflictError(scheme, tuple(sorted(claim.distribution for claim in valid)))
    return valid[0]


def _ignored(scheme: str, claims: list[_Claim]) -> str:
    others = sorted({claim.distribution for claim in claims} - {claim.distribution for claim in _valid(claims)})
    if not others:
        return ""
    return (
        f"scheme {scheme!r} is layerstore's own, and the driver of {' and '.join(others)} for it is ignored: rename "
        f"its entry point in {GROUP}, or uninstall it"
    )


def _loaded(claim: _Claim) -> type[Driver]:
    driver = _imported(claim)
    _check_contract(claim, driver)  # before completeness: another contract may have other methods
    if missing := sorted(driver.__abstractmethods__):
        later = "methods that are not written yet may raise NotImplementedError"
        raise claim.refused(f"{driver.__name__} has no {', '.join(missing)}; {later}")
    _check_signatures(claim, driver)
    return driver


def _imported(claim: _Claim) -> type[Driver]:
    plugins = pluggy.PluginManager(OWN)
    plugins.add_hookspecs(hookspecs)
    try:
        plugins.register(claim.entry.load())
        plugins.check_pending()  # a hook by a misspelt name
        hooks = plugins.hook.layerstore_driver.get_hookimpls()
        found = plugins.hook.layerstore_driver()
    except (Exception, SystemExit) as error:
        raise claim.refused(f"{type(error).__name__}: {error}") from error
    if not hooks:
        raise claim.refused(f"{claim.entry.value} has no hook: a function layerstore_driver, marked @hookimpl")
    if not (isinstance(found, type) and issubclass(found, Driver)):
        raise claim.refused(f"hook layerstore_driver returned no Driver class, but {_kind(found)}")
    return found


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"an object of type {type(found).__name__}"


def _check_contract(claim: _Claim, driver: type[Driver]) -> None:
    # A plugin that derives from layerstore's own classes must still name its contract itself.
    spelled = (vars(base).get("contract_version") for base in driver.__mro__ if base not in {Driver, CheckedDriver})
    version = next((str(found) for found in spelled if found is not None), "none")
    parsed = _VERSION.fullmatch(version)
    if not parsed or parsed[1] != CONTRACT_VERSION.partition(".")[0]:
        raise ContractVersionError(claim.entry.name, claim.distribution, version, CONTRACT_VERSION)


def _check_signatures(claim: _Claim, driver: type[Driver]) -> None:
    """Refuse a driver with a method that cannot be called as the contract's method: every call of it would fail."""
    for name in sorted(Driver.__abstractmethods__):
        ours = inspect.signature(getattr(Driver, name))
        positional = [each for each in ours.parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
        named = [each.name for each in ours.parameters.values() if each.kind is each.KEYWORD_ONLY]
        try:
            inspect.signature(getattr(driver, name)).bind(*positional, **dict.fromkeys(named))
        except TypeError as error:
            form = f"{name}{ours.replace(parameters=_plain(ours), return_annotation=ours.empty)}"
            raise claim.refused(f"{driver.__name__}.{name} cannot be called as {form}: {error}") from None


def _plain(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [each.replace(annotation=each.empty) for each in signature.parameters.values()]


def _check_opened(claim: _Claim, driver: type[Driver], opened: object) -> None:
    if not isinstance(opened, Driver):
        raise claim.refused(f"{driver.__name__}.open returned no driver, but {_kind(opened)}")
    if not isinstance(getattr(opened, "capabilities", None), Capabilities):
        form = "capabilities = Capabilities(nested_keys=..., shared=..., durable=...)"
        raise claim.refused(f"{driver.__name__} declares no capabilities: {form}")


def _merged(url: StoreURL, options: Mapping[str, object], known: Mapping[str, str]) -> dict[str, object]:
    if twice := sorted(options.keys() & url.options.keys()):
        raise InvalidURLError(str(url), f"option {twice[0]!r} is given in the URL and as an argument")
    merged = {**url.options, **options}
    if unknown := sorted(merged.keys() - known.keys()):
        raise UnknownOptionError(url.scheme, unknown[0], tuple(sorted(known)))
    return merged
