"""``layerstore serve``: a registry on the store."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation
from layerstore.driver import SignsURLs
from layerstore_registry.admission import admission
from layerstore_registry.application import Registry
from layerstore_registry.exposition import Exposition
from layerstore_registry.options import PREFIX, options
from layerstore_registry.purging import Timer
from layerstore_registry.server import Hooks, Server, Serving, certificate, is_loopback, prepare
from layerstore_registry.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from layerstore import LayerService


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
    serving, settings = _serving(invocation, told), _settings(told)
    access = [admission(told)]
    _refuse_exposed(serving, access[0].asks or settings.read_only, told["insecure"])
    if settings.read_only and told["purge_uploads"] is not None:
        raise click.UsageError("--purge-uploads does not go with --read-only.")
    held = ExitStack()
    exposition: Exposition | None = None

    def load() -> WSGIApplication:
        """Make the application, in a worker, with a store of its own."""
        service = held.enter_context(invocation.open())
        if told["purge_uploads"] is not None:
            held.callback(Timer(service, told["purge_uploads"]).stop)
        return Registry(service, settings, access[0], exposition.begin() if exposition else None)

    def renew() -> None:
        """Read users, rules and keys anew; where they are not in order, the old ones stay."""
        try:
            access[0] = admission(told)
            certificate(serving)
        except (click.UsageError, OSError) as error:
            invocation.say("warning", f"layerstore: warning: not reloaded: {error}", message=str(error))

    _check_resolves(told["metrics"])
    with invocation.open() as service:
        _examine(service, serving, settings)
    if told["check"]:
        invocation.say("checked", "layerstore: all of this is in order")
        return
    note = "" if access[0].asks else "; whoever reaches it may do everything"
    note = "; whoever reaches it may pull everything" if note and settings.read_only else note
    exposition = _exposed(told["metrics"])
    hooks = Hooks(
        load=load,
        unload=held.close,
        started=lambda urls: _tell(invocation, urls, note, exposition),
        renew=renew,
        gone=lambda process: exposition.forget(process) if exposition else None,
    )
    try:
        _run(Server(serving, hooks))
    finally:
        if exposition:
            exposition.close()


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
