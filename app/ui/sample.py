"""The sample project: the film clip that comes with Huecast and the scribbles painted on it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.project.document import KeyFrame, Project
from app.project.plan import encode_picture
from app.ui import messages
from propagation.errors import PropagationError

if TYPE_CHECKING:
    from app.ui.files import Files
    from app.ui.session import Session

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
CLIP = DEMO / "his_girl_friday.mp4"
HINTS = re.compile(r"friday_hints_(\d+)\.png")


def sample_project() -> Project:
    """The demo's film clip with its scribbles as key frames. Raises MediaError where the files are not there."""
    from app.ui.files import source_of
    from propagation.video.images import read_image

    project = Project(source=source_of(CLIP))
    for path in sorted(DEMO.iterdir()):
        found = HINTS.fullmatch(path.name)
        if found and int(found[1]) < project.frame_count:
            picture = encode_picture(read_image(path).image, path.name)
            project = project.with_key(int(found[1]), KeyFrame(picture=picture))
    return replace(project, recent=_colors(project))


def open_sample(files: Files, session: Session) -> bool:
    """Opens the sample as a project without a file, so that nothing can be overwritten."""
    if not files.may_leave():
        return False
    try:
        session.start(sample_project())
    except (PropagationError, OSError) as error:
        messages.show_error(None, "Cannot open the sample", error)
        return False
    return True


def _colors(project: Project) -> tuple[tuple[int, int, int], ...]:
    """The colors that the sample's scribbles use, most used first, for the row of recent ones."""
    import numpy as np

    from app.project.document import MAX_RECENT
    from app.project.plan import decode_picture, to_8_bit

    pixels = [to_8_bit(decode_picture(key.picture)) for key in project.keys.values() if key.picture is not None]
    solid = [image[image[..., 3] == 255][:, :3] for image in pixels if image.shape[2] == 4]
    if not solid:
        return ()
    colors, counts = np.unique(np.concatenate(solid), axis=0, return_counts=True)
    most = np.argsort(-counts)[:MAX_RECENT]
    return tuple((int(r), int(g), int(b)) for r, g, b in colors[most])
