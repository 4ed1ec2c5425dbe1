"""The `tisdiss` command: its groups of commands, and its error messages.

A command parses, calls a function of the same name and prints. Heavy imports are in its body.
"""

from __future__ import annotations

import sys

import typer

from tisdiss.cli import (
    data_commands,
    model_commands,
    number_commands,
    power_commands,
    runs_commands,
    study_commands,
    web_commands,
    weights_commands,
)
from tisdiss.cli.options import SETTINGS, group_options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
    help="Speech separation with a depth that is chosen at inference, and the studies of the "
    "TISDiSS paper.\n\n"
    "Separate a file:    tisdiss separate talk.wav -o out\n\n"
    "Reproduce a figure: tisdiss run fig2e --profile mini && tisdiss report fig2e --profile mini"
    "\n\nruns, cache, build and mlflow.db lie in the folder of $TISDISS_HOME, else in this one.",
)

PANELS = {
    "Recordings and models": (model_commands, web_commands, weights_commands),
    "Studies": (study_commands, power_commands),
    "Runs": (runs_commands,),
    "Reports": (number_commands,),
}
"""The headings of the help, each with its modules of commands."""

app.callback()(group_options)
for heading, modules in PANELS.items():
    for commands in modules:
        for command in commands.app.registered_commands:
            command.rich_help_panel = heading
        app.add_typer(commands.app)
app.add_typer(data_commands.app, name="data", rich_help_panel="Speech")


def _message(error: Exception) -> str:
    """The message of an error, in our words if it is pydantic's."""
    pydantic = sys.modules.get("pydantic")  # if it is not loaded, the error is not pydantic's
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return str(error)
    from tisdiss.records.problems import sentences

    return "\n".join(sentences(error))


def main() -> None:
    """Run the command; an expected mistake is a message and exit code 2, never a traceback."""
    from tisdiss.machine.surroundings import settle

    settle()
    try:
        app()
    except (ValueError, OSError) as error:
        typer.secho(f"error: {_message(error)}", fg="red", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        from tisdiss.machine.extras import missing

        advice = missing(error.name or "")
        if advice is None:
            raise
        typer.secho(f"error: {advice}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("stopped; the same command continues from here", err=True)
        sys.exit(130)
