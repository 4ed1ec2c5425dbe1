"""The command that serves a page to separate recordings."""

from __future__ import annotations

from typing import Annotated

import typer

from tisdiss.cli.options import AnyWeights, Device, Recipe

app = typer.Typer()


@app.command()
def demo(
    model: AnyWeights = "base",
    config: Recipe = None,
    device: Device = "cpu",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8765,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    max_seconds: Annotated[
        float, typer.Option(min=1, max=600, help="Longest recording that the page takes.")
    ] = 60.0,
    max_mib: Annotated[
        int, typer.Option("--max-mib", min=1, max=1024, help="Largest file that the page takes.")
    ] = 64,
) -> None:
    """Serve a page on this machine: drop a recording, move the depth, hear each voice.

    Only this machine can open the page. Ctrl-C stops it.

    Example: tisdiss demo --model base --port 8765
    """
    from tisdiss.machine.extras import need
    from tisdiss.shipped import recipe_of, weights_of

    need("web")
    weights = weights_of(model)
    recipe_of(weights, config)  # raises if a file is missing, before torch is loaded

    from tisdiss.speech_separator import load
    from tisdiss.web.app import application
    from tisdiss.web.separations import Separations
    from tisdiss.web.server import serve

    separations = Separations(load(weights, config=config, device=device), max_seconds=max_seconds)
    app = application(separations, max_mib=max_mib)

    def ready(address: str) -> None:
        typer.echo(f"{address}  (Ctrl-C stops)")
        if browser:
            typer.launch(address)

    serve(app, port, on_ready=ready)
    separations.close()
