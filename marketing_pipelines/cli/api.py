"""`api`: the HTTP API and the pages below `/admin`, until Ctrl-C or SIGTERM."""

from typing import Annotated

import typer

from marketing_pipelines.cli.session import connected, dagster_instance


def api(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    behind_proxy: Annotated[
        bool,
        typer.Option(
            help="At SIGTERM, answer 503 at /health/ready for 5 s before the end, so that a proxy "
            "sends its requests elsewhere."
        ),
    ] = False,
) -> None:
    """Serve the API and the pages under /admin."""
    from marketing_pipelines.api.app import build_app
    from marketing_pipelines.api.serving import serve, serve_behind_proxy
    from marketing_pipelines.cli.up import address, require_free

    require_free(host, port, "--port")
    with connected() as (settings, engine), dagster_instance() as instance:
        app = build_app(settings=settings, engine=engine, instance=instance, host=host)
        print(f"api: {address(host, port)}/admin, Ctrl-C stops", flush=True)
        start = serve_behind_proxy if behind_proxy else serve
        start(app, settings, host=host, port=port)
