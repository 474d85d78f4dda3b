"""`ui`: Dagster's web server, closed to other sites' pages, until Ctrl-C or SIGTERM."""

from typing import Annotated

import typer

from marketing_pipelines.cli.session import connected, dagster_instance, workspace_file


def ui(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback it asks for a token.")
    ] = "127.0.0.1",
    code_server: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Code server to use instead of its own.")
    ] = None,
) -> None:
    """Serve the Dagster UI."""
    from marketing_pipelines.api.ui import serve_ui
    from marketing_pipelines.cli.up import address, require_free

    require_free(host, port, "--port")
    with connected() as (settings, engine), dagster_instance() as instance:
        print(f"ui: {address(host, port)}, Ctrl-C stops", flush=True)
        serve_ui(
            settings=settings,
            engine=engine,
            instance=instance,
            host=host,
            port=port,
            workspace=workspace_file(settings, code_server),
        )
