"""The HDR demo: one HDR key frame makes an ordinary clip HDR, with a contact sheet at three exposures.

Twice: a clip made from a panorama, whose truth is known, and a film of a flower, whose last frame was made HDR by hand:
where its red is clipped it rises by up to 2.8 stops towards the middle of what is, shaded as the green is.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
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
FLOWER, FLOWER_KEY = ASSETS / "flower.mp4", ASSETS / "hdr" / "flower_key_00149.exr"
FLOWER_RANGE = range(110, 150)  # the key is its last frame
FLOWER_EXPOSURES_STOPS = (0.0, -2.0, -3.0)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HdrDemoOutcome:
    """The files that were made, and RMSE of log10 light on the clipped pixels of the frame whose truth is known."""

    pictures: Path
    preview: Path
    sheet: Path
    log_rmse: dict[str, float]
    flower_pictures: Path
    flower_sheet: Path


def hdr_demo_job(
    folder: Path, size: int, cancel: CancelToken, pipeline: Pipeline | None = None, *, device: str = "auto"
) -> Generator[Progress, None, HdrDemoOutcome]:
    """Carries each key through its clip into `folder`; replaces what an earlier demo wrote."""
    from propagation.video.images import write_image

    folder.mkdir(parents=True, exist_ok=True)
    settings = HdrSettings(
        CLIP, folder / "hdr" / "%05d.exr", {0: KEY}, device=device, size=size, force=True,
        preview=folder / "hdr_preview.mp4",
    )
    (folder / "hdr").mkdir(exist_ok=True)
    yield Progress("hdr", 0, 1, message="A sunset over Venice: one HDR key frame, 40 ordinary ones.")
    outcome = yield from hdr_job(settings, cancel, pipeline)
    scores, rows = _compared(outcome.out.with_name(f"{TRUTH_FRAME:05d}.exr"))
    sheet = folder / "hdr_sheet.png"
    write_image(sheet, contact_sheet("One HDR key frame, carried for 40 frames", rows, tile_width=384), overwrite=True)
    flower, flower_sheet = yield from _flower(folder, size, cancel, pipeline, device)
    return HdrDemoOutcome(outcome.out, folder / "hdr_preview.mp4", sheet, scores, flower, flower_sheet)


def _flower(
    folder: Path, size: int, cancel: CancelToken, pipeline: Pipeline | None, device: str
) -> Generator[Progress, None, tuple[Path, Path]]:
    """The film whose key was made by hand: (the pattern of its pictures, the sheet)."""
    from propagation.color.srgb import srgb_to_linear
    from propagation.video.hdr_images import read_hdr
    from propagation.video.images import write_image
    from propagation.video.reader import open_clip

    (folder / "hdr_flower").mkdir(exist_ok=True)
    first, key = FLOWER_RANGE[0], FLOWER_RANGE[-1]
    out = folder / "hdr_flower" / "%05d.exr"
    settings = HdrSettings(
        FLOWER, out, {key: FLOWER_KEY}, FLOWER_RANGE.start, FLOWER_RANGE.stop, device, size, force=True
    )
    yield Progress("hdr", 0, 1, message="A flower that opens: its last frame made HDR by hand, the 39 before it not.")
    yield from hdr_job(settings, cancel, pipeline)
    with open_clip(FLOWER) as clip:
        source = srgb_to_linear(clip.frame(first).image / np.float32(255)).astype(np.float32)
    rows = [
        _row(f"the key, made by hand, frame {key}", read_hdr(FLOWER_KEY).image, FLOWER_EXPOSURES_STOPS),
        _row(f"the clip, frame {first}: red is clipped", source, FLOWER_EXPOSURES_STOPS),
        _row(f"Huecast, frame {first}", read_hdr(out.with_name(f"{first:05d}.exr")).image, FLOWER_EXPOSURES_STOPS),
    ]
    sheet = folder / "hdr_flower_sheet.png"
    write_image(sheet, contact_sheet("A key made HDR by hand, carried back", rows, tile_width=384), overwrite=True)
    return out, sheet


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


def _row(heading: str, light: Floats, exposures_stops: Sequence[float] = EXPOSURES_STOPS) -> Row:
    from propagation.color.tonemap import tone_mapped

    tiles: list[tuple[Picture, float]] = [(tone_mapped(light, "clip", stops), stops) for stops in exposures_stops]
    return Row(heading, [Tile(picture, f"{stops:+.0f} stops") for picture, stops in tiles])


def _exposures() -> str:
    return ", ".join(f"{stops:+.0f}" for stops in EXPOSURES_STOPS) + " stops"


def _log_rmse(light: Floats, truth: Floats, mask: NDArray[np.bool_]) -> float:
    logs = (np.log10(np.maximum(x[mask], 1e-4)) for x in (light, truth))
    return float(np.sqrt(np.mean((next(logs) - next(logs)) ** 2)))
