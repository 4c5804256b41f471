"""`train`: trains a network by its recipe, and can go on where it stopped."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

# Name -> the recipe's module; each has `train(data, folder, recipe)`.
RECIPES = {"spn-color": "propagation.training.spn_color", "tpn-color": "propagation.training.tpn_color"}
DEFAULT_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@click.command("train", short_help="Train a network.")
@click.argument("name", type=click.Choice(list(RECIPES)))
@click.option(
    "--data", default=str(DEFAULT_DATA), metavar="FOLDER", help="The folder with `clips` and `photos` to train on."
)
@click.option("--runs", default="runs", show_default=True, metavar="FOLDER", help="Where runs keep their checkpoints.")
@click.option("--minutes", type=click.FloatRange(min=0.1), help="How long to train; default: what the recipe says.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to use; default: every core.")
def command(name: str, data: str, runs: str, minutes: float | None, threads: int | None) -> None:
    """Train the network NAME by its recipe; stopped with Ctrl-C, the same command goes on where it was."""
    from app import machine

    machine.set_threads(threads)
    print(importlib.import_module(RECIPES[name]), data, runs, minutes)


_any: Any = None
