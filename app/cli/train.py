"""`train`: trains a network by its recipe, and goes on where an earlier run stopped."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

# Name -> the recipe's module and its dataclass.
RECIPES = {
    "spn-color": ("propagation.training.spn_color", "SpnColorRecipe"),
    "spn-published": ("propagation.training.spn_published", "SpnPublishedRecipe"),
    "tpn-belief": ("propagation.training.tpn_belief", "TpnBeliefRecipe"),
    "tpn-color": ("propagation.training.tpn_color", "TpnColorRecipe"),
    "tpn-hdr": ("propagation.training.tpn_hdr", "TpnHdrRecipe"),
    "tpn-photos": ("propagation.training.tpn_photos", "TpnPhotosRecipe"),
    "tpn-published": ("propagation.training.tpn_published", "TpnPublishedRecipe"),
}
TIERS = {"hdr/env_cc0_pmndrs": "A, CC0"}  # and the licence, of folders that are not of "A and B"
DEFAULT_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WEIGHTS_VERSION = "2"


@click.command("train", short_help="Train a network.")
@click.argument("name", metavar="NAME", type=click.Choice(list(RECIPES)))
@click.option("--data", default=str(DEFAULT_DATA), metavar="FOLDER", help="The folder of the media to train on.")
@click.option("--runs", default="runs", show_default=True, metavar="FOLDER", help="Where runs keep their checkpoints.")
@click.option("--minutes", type=click.FloatRange(min=0.05), help="How long to train; default: what the recipe says.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to use; default: every core.")
def command(name: str, data: str, runs: str, minutes: float | None, threads: int | None) -> None:
    """Train the network NAME by its recipe.

    Stopped with Ctrl-C, the same command goes on where it was. The finished weights lie in the run's folder; the
    program takes those in assets/weights, so a better file is copied there by hand.
    """
    from dataclasses import replace

    from app import machine

    machine.set_threads(threads)
    place, recipe_name = RECIPES[name]
    module = importlib.import_module(place)
    check_data(Path(data), module.FOLDERS)
    recipe = getattr(module, recipe_name)()
    if minutes is not None:
        recipe = replace(recipe, loop=replace(recipe.loop, minutes=minutes))
    folder = Path(runs) / name
    run, scores = module.train(Path(data), folder, recipe)
    out = folder / f"{module.NAME}.safetensors"
    save(out, module.NAME, run.model, recipe, training_files(Path(data), module.FOLDERS), scores)
    click.echo(f"Wrote {out.resolve()}")


def check_data(data: Path, folders: tuple[str, ...]) -> None:
    """Raises MissingMediaError where a folder of the training data is not there."""
    from propagation.errors import MissingMediaError

    for folder in folders:
        if not (data / folder).is_dir():
            raise MissingMediaError(
                "there is no such folder of training data", path=data / folder, advice="Name its parent with --data"
            )


def training_files(data: Path, folders: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the header of the weights says they were trained on: every file by name, under its folder. Panoramas that
    only measure are left out, as the recipes do."""
    from propagation.bench.panoramas import VALIDATION

    measuring = {data / "hdr" / name for name in VALIDATION}
    return [
        {
            "folder": folder,
            "tiers": TIERS.get(folder, "A and B"),
            "files": sorted(path.name for path in (data / folder).iterdir() if path not in measuring),
        }
        for folder in folders
    ]


def save(out: Path, name: str, model: Any, recipe: Any, files: list[dict[str, Any]], scores: dict[str, float]) -> None:
    """Writes the weights with what they were made from in their header."""
    from dataclasses import asdict

    from propagation.weights import pack_header, save_weights

    save_weights(out, model.state_dict(), pack_header(name, WEIGHTS_VERSION, asdict(recipe), files, scores))
