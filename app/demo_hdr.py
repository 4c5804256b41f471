"""The HDR demo: one HDR key frame makes an ordinary clip HDR, with a contact sheet at three exposures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.contact_sheet import Picture, Row, Tile, contact_sheet
from app.demo import ASSETS
from app.hdr import HdrSettings, hdr_job
from app.pipeline import Pipeline
from app.progress import CancelToken, Progress

CLIP, KEY, TRUTH = (
    ASSETS / "hdr" / name for name in ("sunset.mp4", "sunset_key_00000.exr", "sunset_truth_00040.exr")
)
TRUTH_FRAME = 40
EXPOSURES_STOPS = (0.0, -2.0, -5.0)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HdrDemoOutcome:
    """The files that were made, and RMSE of log10 light on the clipped pixels of the frame whose truth is known."""

    pictures: Path
    preview: Path
    sheet: Path
    log_rmse: dict[str, float]


def hdr_demo_job(
    folder: Path, size: int, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress, None, HdrDemoOutcome]:
    """Carries the key through the clip into `folder`; replaces what an earlier demo wrote."""
    from propagation.video.images import write_image

    folder.mkdir(parents=True, exist_ok=True)
    settings = HdrSettings(
        CLIP, folder / "hdr" / "%05d.exr", {0: KEY}, size=size, force=True, preview=folder / "hdr_preview.mp4"
    )
    (folder / "hdr").mkdir(exist_ok=True)
    yield Progress("hdr", 0, 1, message="A sunset over Venice: one HDR key frame, 40 ordinary ones.")
    outcome = yield from hdr_job(settings, cancel, pipeline)
    scores, rows = _compared(outcome.out.with_name(f"{TRUTH_FRAME:05d}.exr"))
    sheet = folder / "hdr_sheet.png"
    write_image(sheet, contact_sheet("One HDR key frame, carried for 40 frames", rows, tile_width=384), overwrite=True)
    return HdrDemoOutcome(outcome.out, folder / "hdr_preview.mp4", sheet, scores)


def _compared(result: Path) -> tuple[dict[str, float], list[Row]]:
    """The scores of the frame whose truth is known, and the rows of the sheet."""
    from propagation.color.srgb import srgb_to_linear
    from propagation.video.hdr_images import read_hdr
    from propagation.video.reader import open_clip

    with open_clip(CLIP) as clip:
        code_values = clip.frame(TRUTH_FRAME).image
    source = srgb_to_linear(code_values / np.float32(255)).astype(np.float32)
    ours, truth, key = (read_hdr(path).image for path in (result, TRUTH, KEY))
    clipped: NDArray[np.bool_] = np.asarray((code_values >= 250).any(axis=-1))
    scores = {"the clip": _log_rmse(source, truth, clipped), "Huecast": _log_rmse(ours, truth, clipped)}
    rows = [_row(f"the key, frame 0, at {_exposures()}", key)]
    rows.append(_row(f"the clip, frame {TRUTH_FRAME}: what was clipped stays white", source))
    rows.append(_row(f"Huecast, frame {TRUTH_FRAME}: the key's light where the clip has none", ours))
    rows.append(_row(f"the truth, frame {TRUTH_FRAME}", truth))
    return scores, rows


def _row(heading: str, light: Floats) -> Row:
    from propagation.color.tonemap import tone_mapped

    tiles: list[tuple[Picture, float]] = [(tone_mapped(light, "clip", stops), stops) for stops in EXPOSURES_STOPS]
    return Row(heading, [Tile(picture, f"{stops:+.0f} stops") for picture, stops in tiles])


def _exposures() -> str:
    return ", ".join(f"{stops:+.0f}" for stops in EXPOSURES_STOPS) + " stops"


def _log_rmse(light: Floats, truth: Floats, mask: NDArray[np.bool_]) -> float:
    logs = (np.log10(np.maximum(x[mask], 1e-4)) for x in (light, truth))
    return float(np.sqrt(np.mean((next(logs) - next(logs)) ** 2)))
