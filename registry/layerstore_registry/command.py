"""``layerstore serve``: a registry on the store."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation
from layerstore.driver import SignsURLs
from layerstore_registry.access.admission import admission
from layerstore_registry.application import Registry
from layerstore_registry.options import PREFIX, options
from layerstore_registry.serving.exposition import Exposition
from layerstore_registry.serving.purging import Timer
from layerstore_registry.serving.server import Hooks, Server, Serving, certificate, check_free, is_loopback, prepare
from layerstore_registry.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from layerstore import LayerService
    from layerstore_registry.access.rights import Access


@click.command(short_help="Serve a container registry.", context_settings={"auto_envvar_prefix": PREFIX})
@options
@flags
@click.pass_obj
def serve(invocation: Invocation, /, **told: Any) -> None:  # noqa: ANN401  (click's)
    """Serve the store as a container registry, for docker, podman, skopeo and all other clients of the OCI protocol.

    \b
      layerstore serve
      layerstore serve --listen 0.0.0.0:443 --tls-cert c.pem --tls-key k.pem --htpasswd users --workers 4

    Without options, only this machine can reach it, and every client may do everything. Every option may also be given
    in the environment, or in the file that --config names: --tls-cert as LAYERSTORE_SERVE_TLS_CERT, or as tls-cert. The
    command line takes precedence over the environment, and the environment over the file. SIGTERM stops the server
    after the requests under way. SIGHUP reads users, rules, keys and certificates again.
    """  # noqa: D301  (click takes the backspace for: leave these lines as they are)
    running = _Running(invocation, told)
    running.check()
    if told["check"]:
        invocation.say("checked", "layerstore: all of this is in order")
    else:
        running.run()


class _Running:
    """One run of the command: what its server's hooks share, in the parent and in each worker."""

    def __init__(self, invocation: Invocation, told: dict[str, Any]) -> None:
        """Take the options, which must make sense."""
        self._invocation, self._told = invocation, told
        self._serving, self._settings = _serving(invocation, told), _settings(told)
        self._access = admission(told)
        self._held = ExitStack()
        self._exposition: Exposition | None = None

    def check(self) -> None:
        """Refuse options that do not go together, and look at the store."""
        _refuse_exposed(self._serving, self._access.asks or self._settings.read_only, self._told["insecure"])
        if self._settings.read_only and self._told["purge_uploads"] is not None:
            raise click.UsageError("--purge-uploads does not go with --read-only.")
        _check_resolves(self._told["metrics"])
        with self._invocation.open() as service:
            _examine(service, self._serving, self._settings)

    def run(self) -> None:
        """Serve until stopped."""
        _check_free(self._serving)
        self._exposition = exposition = _exposed(self._told["metrics"])
        note = _note(self._access, self._settings)
        hooks = Hooks(
            load=self._load,
            unload=self._held.close,
            started=lambda urls: _tell(self._invocation, urls, note, exposition),
            renew=self._renew,
            gone=lambda process: exposition.forget(process) if exposition else None,
        )
        try:
            _run(Server(self._serving, hooks))
        finally:
            if exposition:
                exposition.close()

    def _load(self) -> WSGIApplication:
        """Make the application, in a worker, with a store of its own."""
        service = self._held.enter_context(self._invocation.open())
        if self._told["purge_uploads"] is not None:
            self._held.callback(Timer(service, self._told["purge_uploads"]).stop)
        counts = self._exposition.begin() if self._exposition else None
        return Registry(service, self._settings, self._access, counts)

    def _renew(self) -> None:
        """Read users, rules and keys anew; where they are not in order, the old ones stay."""
        try:
            self._access = admission(self._told)
            certificate(self._serving)
        except (click.UsageError, OSError) as error:
            self._invocation.say("warning", f"layerstore: warning: not reloaded: {error}", message=str(error))


def _note(access: Access, settings: Settings) -> str:
    """Return what whoever starts the server has to know of it."""
    if access.asks:
        return ""
    return f"; whoever reaches it may {'pull' if settings.read_only else 'do'} everything"


def _serving(invocation: Invocation, told: dict[str, Any]) -> Serving:
    if bool(told["tls_cert"]) != bool(told["tls_key"]):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    return Serving(
        listen=tuple(told["listen"]),
        workers=told["workers"],
        threads=told["threads"],
        timeout=told["timeout"],
        graceful=told["graceful_timeout"],
        tls_cert=str(told["tls_cert"]) if told["tls_cert"] else None,
        tls_key=str(told["tls_key"]) if told["tls_key"] else None,
        access_log=told["access_log"],
        debug=invocation.debug,
    )


def _settings(told: dict[str, Any]) -> Settings:
    return Settings(
        read_only=told["read_only"],
        delete_blobs=not told["no_delete_blobs"],
        delete_manifests=not told["no_delete_manifests"],
        pages=not told["no_page"],
        redirect=told["redirect"],
        max_manifest=told["max_manifest"],
        max_blob=told["max_blob"],
    )


def _refuse_exposed(serving: Serving, guarded: bool, insecure: bool) -> None:  # noqa: FBT001  (two facts)
    """Refuse an address that other machines reach, unless that is safe or ``--insecure`` is given."""
    exposed = [address for address in serving.listen if not is_loopback(address)]
    if not exposed or insecure:
        return
    if not serving.tls_cert:
        raise click.UsageError(f"{exposed[0]} is not this machine alone: give --tls-cert and --tls-key, or --insecure.")
    if not guarded:
        words = "--htpasswd, --token-realm, --read-only, or --insecure"
        raise click.UsageError(f"{exposed[0]} is not this machine alone, and anybody might push: give {words}.")


def _examine(service: LayerService, serving: Serving, settings: Settings) -> None:
    """Check the store and all settings that would otherwise fail only at the first request."""
    prepare(service, read_only=settings.read_only)
    if serving.workers > 1 and not service.driver.capabilities.shared:
        raise click.UsageError("no two processes share this store: --workers 1.")
    if settings.redirect and not isinstance(service.driver.inner, SignsURLs):
        raise click.UsageError("nobody can be led to this store: it signs no URLs. Leave --redirect out.")
    try:
        certificate(serving)
    except OSError as error:  # SSLError is one
        raise click.UsageError(f"{serving.tls_cert} with {serving.tls_key}: {error}") from error


def _check_free(serving: Serving) -> None:
    """Refuse addresses that another program has."""
    for address in serving.listen:
        try:
            check_free(address)
        except (OSError, OverflowError, RuntimeError) as error:  # gunicorn's, of what is no address
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise click.UsageError(f"--listen {address}: {why}.") from error


def _check_resolves(address: tuple[str, int] | None) -> None:
    """Refuse an address for counts that is none; whether it is free shows when it is taken."""
    try:
        if address is not None:
            socket.getaddrinfo(*address)
    except OSError as error:
        raise click.UsageError(f"--metrics {address}: {error.strerror or error}.") from error


def _exposed(address: tuple[str, int] | None) -> Exposition | None:
    """Take the address at which counts are to be had, if they are."""
    if address is None:
        return None
    try:
        return Exposition(*address)
    except OSError as error:
        raise click.UsageError(f"--metrics {address[0]}:{address[1]}: {error.strerror or error}.") from error


def _tell(invocation: Invocation, urls: list[str], note: str, exposition: Exposition | None) -> None:
    counts = {"metrics": exposition.url} if exposition else {}
    note = f"; counts at {exposition.url}{note}" if exposition else note
    invocation.say("serving", f"layerstore: serving at {', '.join(urls)}{note}", urls=urls, **counts)


def _run(server: Server) -> None:
    """Run until stopped. gunicorn ends its processes, and this one, by ``SystemExit``."""
    try:
        server.run()
    except SystemExit as error:
        raise click.exceptions.Exit(error.code if isinstance(error.code, int) else 1) from None
