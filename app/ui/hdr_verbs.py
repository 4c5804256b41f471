"""What the window's HDR actions do: import a key after a look at it, drop it, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from app.ui import messages
from app.ui.hdr_export import HdrExportDialog
from app.ui.hdr_key_dialog import HdrKeyDialog

if TYPE_CHECKING:
    from app.hdr_preview import KeyLook
    from app.jobs import Outcome
    from app.ui.window import MainWindow
    from propagation.video.hdr_images import Encoding

# How values are coded is not always in the file; then the person says so by the kind of file that is chosen.
_KINDS: dict[str, Encoding | None] = {
    "HDR pictures (*.exr *.hdr *.tif *.tiff *.png)": None,
    "16-bit pictures in PQ (*.png *.tif *.tiff)": "pq",
    "16-bit pictures in HLG (*.png *.tif *.tiff)": "hlg",
    "16-bit pictures, scene-linear (*.png *.tif *.tiff)": "linear",
}


class HdrVerbs(QObject):
    """Binds the HDR view of a window to its menus, panel and dialogs."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._hdr = window, window.hdr
        self.dialog: HdrKeyDialog | None = None
        self._hdr.looked.connect(self._looked)
        self._hdr.refused.connect(self._refused)
        self._hdr.changed.connect(self._changed)
        window.hdr_panel.stops_changed.connect(self._hdr.set_stops)
        window.hdr_panel.zebra_changed.connect(self._hdr.set_zebra)
        window.action("zebra").toggled.connect(self._hdr.set_zebra)
        window.action("before_after").toggled.connect(lambda _: window.view.refresh())

    def ask_key(self) -> None:
        """Asks for an HDR picture of the frame in view."""
        frame = self._window.playback.frame
        title = f"HDR picture of frame {frame}"
        folder = str(self._window.files.export_folder())
        path, kind = QFileDialog.getOpenFileName(self._window, title, folder, ";;".join(_KINDS))
        if path:
            self.look(frame, Path(path), _KINDS.get(kind))

    def look(self, frame: int, path: Path, encoding: Encoding | None = None) -> None:
        """Holds a picture against a frame, and shows what was found."""
        source = self._window.session.project.source
        if source is not None:
            self._window.say(f"Holding {path.name} against frame {frame}…")
            self._hdr.look(Path(source.path), frame, path, encoding)

    def drop_key(self) -> None:
        """Uses the HDR key of the frame in view no more; its file stays."""
        self._hdr.drop(self._window.playback.frame)

    def export(self) -> None:
        """Opens the dialog that carries the keys' light and writes it."""
        dialog = self.export_dialog()
        dialog.exec()
        dialog.deleteLater()

    def export_dialog(self) -> HdrExportDialog:
        """The HDR export dialog, not yet shown."""
        window = self._window
        window.playback.stop()
        keys = {n: look.path for n, look in self._hdr.keys.items()}
        encoding = next((look.encoding for look in self._hdr.keys.values() if look.encoding), None)
        dialog = HdrExportDialog(window.session.project, keys, encoding, window.files.export_stem(),
                                 window.files.export_folder(), window.wait_for_stages, window.device, window)
        dialog.exported.connect(lambda outcome: self._exported(outcome, dialog.written))
        return dialog

    def _looked(self, look: KeyLook) -> None:
        self._window.say("")
        self.dialog = dialog = HdrKeyDialog(look, self._window)
        dialog.accepted.connect(lambda: self._accepted(look))
        dialog.finished.connect(self._looked_at)
        dialog.open()

    def _looked_at(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
        self.dialog = None

    def _accepted(self, look: KeyLook) -> None:
        self._hdr.take(look)
        self._window.playback.go(look.index)
        self._window.say(f"{look.path.name} is the HDR key of frame {look.index}. {look.words}")

    def _refused(self, error: BaseException) -> None:
        self._window.say("")
        messages.show_error(self._window, "Cannot use this HDR key", error)

    def _changed(self) -> None:
        window, hdr = self._window, self._hdr
        window.hdr_panel.show_state(hdr.stops, zebra=hdr.zebra, has_light=bool(hdr.keys))
        window.action("zebra").setChecked(hdr.zebra)
        window.view.refresh()
        window.verbs.enable()

    def _exported(self, outcome: Outcome, frames: range) -> None:
        self._hdr.made(outcome.out, frames)
