"""The HDR export dialog: carries the light of the HDR keys through the clip and writes it as pictures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from app.jobs import Outcome
from app.pipeline import Pipeline
from app.progress import CancelToken, Progress
from app.project.document import Project
from app.ui.export_dialog import ExportDialog, Format

if TYPE_CHECKING:
    from propagation.video.hdr_images import Encoding

_LINEAR = "Scene-linear light, one picture a frame; the keys' frames exactly as they are"
HDR_FORMATS = (
    Format("EXR pictures (ZIP)", "/%05d.exr", _LINEAR, False),
    Format("EXR pictures (PIZ, smaller where there is grain)", "/%05d.exr", _LINEAR, False),
    Format("PNG pictures (16 bits, PQ)", "/%05d.png", "BT.2020 and PQ, for programs that know no EXR", False),
    Format("PNG pictures (16 bits, HLG)", "/%05d.png", "BT.2020 and HLG, for programs that know no EXR", False),
)

_ENCODINGS: dict[int, Encoding | None] = {2: "pq", 3: "hlg"}


class HdrExportDialog(ExportDialog):
    """Asks for format, place and range, then carries and writes."""

    formats = HDR_FORMATS
    what_words = "Light"
    ending = "hdr"
    colored_words = "reached by a key"

    def __init__(
        self,
        project: Project,
        keys: Mapping[int, Path],
        encoding: Encoding | None,
        name: str,
        folder: Path,
        stages: Callable[[], Pipeline],
        device: str = "auto",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(project, name, folder, {}, stages, device, parent)
        self._keys, self._encoding = keys, encoding
        self.written = range(0)
        self.setWindowTitle("Export HDR")

    def _job(self, out: Path, replace: bool) -> Callable[[CancelToken], Generator[Progress, None, Outcome]]:
        source, stages, place = self._project.source, self._stages, self.format.currentIndex()
        start, stop = self._frames()
        self.written = range(start, stop)

        def job(cancel: CancelToken) -> Generator[Progress, None, Outcome]:
            from app.hdr import HdrSettings, hdr_job
            from propagation.video.hdr_writer import HdrFormat

            form = HdrFormat(compression="piz" if place == 1 else "zip", encoding=_ENCODINGS.get(place))
            settings = HdrSettings(
                Path(source.path) if source else Path(), out, self._keys, start, stop,
                self._device, force=replace, key_encoding=self._encoding, form=form,
            )
            return (yield from hdr_job(settings, cancel, stages()))

        return job
