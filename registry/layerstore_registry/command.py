"""``layerstore serve``: a registry on the store."""

from __future__ import annotations

import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation
from layerstore.cli.size import size as read_size

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from layerstore import LayerService
    from layerstore_registry.server import Serving
    from layerstore_registry.settings import Settings

PREFIX = "LAYERSTORE_SERVE"


class Size(click.ParamType[int]):
    """A number of bytes, as people write it."""

    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:  # noqa: ANN401  (click's)
        """Read it."""
        del parameter, context
        return value if isinstance(value, int) else read_size(value)


def _configured(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    """Take what a file says for what options do not: its names are theirs."""
    del option
    if value is None:
        return
    try:
        told = tomllib.loads(value.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{value}: {error}") from error
    known = {name[2:] for each in context.command.params for name in each.opts if name.startswith("--")}
    known -= {"config", "check", "help", "json", "debug"}
    unknown = sorted(set(told) - known)
    if unknown:
        raise click.BadParameter(f"{value}: no option {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    context.default_map = {name.replace("-", "_"): _as_words(each) for name, each in told.items()}


def _as_words(value: Any) -> Any:  # noqa: ANN401  (whatever TOML knows)
    """Make of a value what it would be on the command line, for options to read and to refuse."""
    if isinstance(value, list):
        return [_as_words(each) for each in value]
    return value if isinstance(value, bool) else str(value)


@click.command(short_help="Serve a container registry.", context_settings={"auto_envvar_prefix": PREFIX})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_configured,
    help="A TOML file with the names of these options, without the dashes before them.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    multiple=True,
    default=["127.0.0.1:5000"],
    show_default="127.0.0.1:5000",
    help="Where to listen; may be given more than once. unix:PATH is a socket.",
)
@click.option("--tls-cert", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Certificate, in PEM.")
@click.option("--tls-key", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Its key, in PEM.")
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without TLS, or with no access control.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--threads", type=click.IntRange(min=1), default=32, show_default=True, help="Requests at once in each.")
@click.option(
    "--timeout", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds to wait for a client."
)
@click.option(
    "--graceful-timeout", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds to stop in."
)
@click.option("--read-only", is_flag=True, help="Refuse whatever would change the store.")
@click.option("--no-delete-blobs", is_flag=True, help="Refuse to delete blobs.")
@click.option("--no-delete-manifests", is_flag=True, help="Refuse to delete manifests and tags.")
@click.option("--max-manifest", type=Size(), default="4MiB", show_default=True, help="Largest manifest.")
@click.option("--max-blob", type=Size(), default=0, show_default="any", help="Largest blob.")
@click.option(
    "--access-log",
    type=click.Choice(["off", "common", "json"]),
    default="off",
    show_default=True,
    help="A line on standard output for each request.",
)
@click.option("--check", is_flag=True, help="Tell whether all of this is in order, and serve nothing.")
@flags
@click.pass_obj
def serve(invocation: Invocation, **options: Any) -> None:  # noqa: ANN401  (click's)
    """Serve the store as a container registry, for docker, podman, skopeo and all that speak the OCI protocol.

    \b
      layerstore serve
      layerstore serve --store local:/srv/registry --listen 0.0.0.0:443 --tls-cert c.pem --tls-key k.pem --htpasswd users

    Without more, it listens on this machine alone, and whoever reaches it may do everything. Every option may stand in
    the environment, as LAYERSTORE_SERVE_TLS_CERT for --tls-cert, or in the file that --config names, as tls-cert; the
    command line goes first, then the environment. SIGTERM stops it after the requests under way; SIGHUP reads users,
    rules and certificates anew.
    """  # noqa: D301  (click takes the backspace for: leave these lines as they are)
    from layerstore_registry.server import Server

    serving, settings = _serving(invocation, options), _settings(options)
    _refuse_exposed(serving, options)
    held = ExitStack()

    def load() -> WSGIApplication:
        return _application(held.enter_context(invocation.open()), settings)

    with invocation.open() as service:
        _examine(service, serving, settings)
    if options["check"]:
        invocation.say("checked", "layerstore: all of this is in order")
        return
    _run(Server(serving, load, lambda urls: _tell(invocation, urls), held.close))


def _serving(invocation: Invocation, options: dict[str, Any]) -> Serving:
    from layerstore_registry.server import Serving

    if bool(options["tls_cert"]) != bool(options["tls_key"]):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    return Serving(
        listen=tuple(options["listen"]),
        workers=options["workers"],
        threads=options["threads"],
        timeout=options["timeout"],
        graceful=options["graceful_timeout"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        access_log=options["access_log"],
        debug=invocation.debug,
    )


def _settings(options: dict[str, Any]) -> Settings:
    from layerstore_registry.settings import Settings

    return Settings(
        read_only=options["read_only"],
        delete_blobs=not options["no_delete_blobs"],
        delete_manifests=not options["no_delete_manifests"],
        max_manifest=options["max_manifest"],
        max_blob=options["max_blob"],
    )


def _refuse_exposed(serving: Serving, options: dict[str, Any]) -> None:
    """Refuse to be reached from other machines, unless that is safe or was asked for."""
    from layerstore_registry.server import is_loopback

    exposed = [address for address in serving.listen if not is_loopback(address)]
    if exposed and not serving.tls_cert and not options["insecure"]:
        raise click.UsageError(f"{exposed[0]} is not this machine alone: give --tls-cert and --tls-key, or --insecure.")


def _application(service: LayerService, settings: Settings) -> WSGIApplication:
    from layerstore_registry.application import Registry

    return Registry(service, settings)


def _examine(service: LayerService, serving: Serving, settings: Settings) -> None:
    """Ask the store, and look at what only fails when the first client comes."""
    from layerstore_registry.server import prepare

    prepare(service, read_only=settings.read_only)
    if serving.workers > 1 and not service.driver.capabilities.shared:
        raise click.UsageError("no two processes share this store: --workers 1.")
    if serving.tls_cert:
        _load_certificate(serving)


def _load_certificate(serving: Serving) -> None:
    import ssl

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(str(serving.tls_cert), serving.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"{serving.tls_cert} with {serving.tls_key}: {error}") from error


def _tell(invocation: Invocation, urls: list[str]) -> None:
    invocation.say("serving", f"layerstore: serving at {', '.join(urls)}", urls=urls)


def _run(server: Any) -> None:  # noqa: ANN401  (a Server)
    """Run until stopped; gunicorn ends its processes, and this one, by an exit."""
    try:
        server.run()
    except SystemExit as error:
        raise click.exceptions.Exit(error.code if isinstance(error.code, int) else 1) from None
