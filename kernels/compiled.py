"""Which of numba's compiled kernels on disk are still those of their sources.

numba compares a compiled function with the file that it stands in alone; our kernels inline functions of several files,
and would go on running as they were after an update of one of the others.
"""

from __future__ import annotations

import os
from pathlib import Path


def drop_stale(folder: Path) -> None:
    """Removes numba's index files of `folder` that are older than its newest source, so that it compiles anew."""
    newest = max(source.stat().st_mtime_ns for source in folder.glob("*.py"))
    for index in (folder / "__pycache__").glob("*.nbi"):
        try:
            if index.stat().st_mtime_ns < newest:
                os.remove(index)
        except OSError:  # another process was first, or may not write here: then numba may not either
            continue
