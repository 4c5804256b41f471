"""What `info` says of HDR pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def hdr_facts(path: Path) -> dict[str, Any]:
    """Everything about an HDR picture, or a sequence by its first one, that a script may want."""
    import numpy as np

    from propagation.video.hdr_sequence import open_hdr

    sequence = open_hdr(path)
    picture = sequence.read(0)
    height, width = picture.image.shape[:2]
    finite = picture.image[np.isfinite(picture.image)]
    positive = finite[finite > 0]
    facts: dict[str, Any] = {
        "kind": "hdr still" if sequence.found.is_still else "hdr sequence",
        "path": str(path),
        "width": width,
        "height": height,
        "frames": len(sequence),
        "bit_depth": picture.bits,
        "encoding": picture.encoding,
        "white_nits": picture.white_nits,
        "chromaticities": [round(number, 5) for number in picture.chromaticities.numbers],
        "light": {
            "darkest": float(positive.min()) if positive.size else 0.0,
            "median": float(np.median(finite)) if finite.size else 0.0,
            "brightest": float(finite.max()) if finite.size else 0.0,
            "negative": int((finite < 0).sum()),
            "not_finite": int(picture.image.size - finite.size),
        },
        "problems": [*sequence.found.problems, *picture.notes],
    }
    if not sequence.found.is_still:
        facts |= {"first_number": sequence.found.first_number, "first_file": str(sequence.found.files[0])}
    return facts
