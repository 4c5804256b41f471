"""The command line: one module per verb, imported when the verb is called, so that `--help` stays light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from app.cli import exit_codes

VERBS = {
    "propagate": "Carry the colors of key frames or hints through a clip.",
    "densify": "Fill one picture from sparse color hints.",
    "hints": "Make sparse color hints from a picture in color.",
    "render": "Write a project of the window out, without a screen.",
    "info": "Show what the program sees in a file, or on this machine.",
    "demo": "Run the main job on the two clips that come with the program.",
    "bench": "Measure against the baselines and print the tables.",
    "train": "Train a network.",
}


class VerbGroup(click.Group):
    """A group that knows its verbs by name and imports a verb's module only to run it or to print its help."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The verbs in the order a newcomer meets them."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The verb's click command, or None where there is no such verb."""
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"app.cli.{name}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs from the table above, so that the list imports none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=VerbGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="VERB ...",
    epilog="Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in exit_codes.MEANINGS.items()) + ".",
)
@click.version_option(package_name="huecast", prog_name="huecast", message="%(prog)s %(version)s")
@click.pass_context
def group(context: click.Context) -> None:
    """Huecast carries an edit through a video: color or scribble one frame, get the whole shot.

    Without a verb the window opens, with the clip or project that is named, if one is.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Runs one verb, words whatever goes wrong on stderr, and returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes that no encoding prints; the sentence about it must still come out.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = group.main(args=list(arguments), prog_name="huecast", standalone_mode=False)
        return result if isinstance(result, int) else exit_codes.DONE
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        return exit_codes.STOPPED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`); Python would complain once more while closing stdout.
        sys.stdout = None
        return exit_codes.UNEXPECTED
    except (Exception, KeyboardInterrupt) as error:
        return _report(error)


def _report(error: BaseException) -> int:
    from app import log

    code = exit_codes.exit_code(error)
    if code == exit_codes.STOPPED:
        click.echo("Stopped. Nothing half written was left.", err=True)
    elif code == exit_codes.UNEXPECTED:
        path = log.record(error)
        where = f"The details are in {path}." if path else "The details could not be written to a log."
        click.echo(f"Error: something went wrong that the program did not foresee ({error!r}). {where}", err=True)
    elif isinstance(error, MemoryError):
        click.echo("Error: out of memory. Close other programs, or give a smaller --size.", err=True)
    else:
        click.echo(f"Error: {error}", err=True)
    return code
