"""Every action of the window in one table: its menu, words, keys and tooltip. The `?` dialog is made from it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui import icons
from app.ui.naming import named
from app.ui.theme import Theme


@dataclass(frozen=True)
class Entry:
    """One action: `keys` in Qt's portable text, the first one shown in the menu."""

    name: str
    menu: str
    text: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    tip: str = ""
    group: str = ""
    checkable: bool = False
    on_accent: bool = False
    """Its button is the one that stands out."""


ENTRIES: tuple[Entry, ...] = (
    Entry("open", "File", "Open…", ("Ctrl+O",), "open", "Open a clip, a folder of frames or a project"),
    Entry("open_folder", "File", "Open image sequence…", (), "", "Open a folder of numbered pictures"),
    Entry("sample", "File", "Open sample project", (), "", "The film clip that comes with Huecast, scribbled on"),
    Entry("save", "File", "Save", ("Ctrl+S",), "save", "Save the project; the version before it is kept"),
    Entry("save_as", "File", "Save as…", ("Ctrl+Shift+S",)),
    Entry("relink", "File", "Relink clip…", (), "", "Tell the project where its clip is now"),
    Entry("recover", "File", "Recover unsaved work…", (), "",
          "Look for work of a window that ended without closing"),
    Entry("import_key", "File", "Import colored frame…", ("Ctrl+I",), "import",
          "Use a colored picture of this frame (PNG, TIFF, JPEG) as its key"),
    Entry("import_hdr_key", "File", "Import HDR key…", ("Ctrl+Shift+I",), "",
          "Hold an HDR picture of this frame (EXR, Radiance HDR, TIFF, 16-bit PNG) against it, and use its light"),
    Entry("drop_hdr_key", "File", "Drop the HDR key of this frame", (), "", "Its file stays as it is"),
    Entry("export", "File", "Export…", ("Ctrl+E",), "export", "Write the colored clip as a video or as pictures"),
    Entry("export_hdr", "File", "Export HDR…", ("Ctrl+Shift+E",), "",
          "Carry the HDR keys' light through the clip and write EXR or 16-bit PNG pictures"),
    Entry("quit", "File", "Quit", ("Ctrl+Q",)),
    Entry("undo", "Edit", "Undo", ("Ctrl+Z",), "undo"),
    Entry("redo", "Edit", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo"),
    Entry("keep_key", "Edit", "Keep this frame as a key", ("C",), "key",
          "Make the color now shown on this frame a key frame, to correct it and carry it on"),
    Entry("drop_picture", "Edit", "Drop the picture under the strokes", (), "",
          "Leave only the strokes of this key frame"),
    Entry("clear_strokes", "Edit", "Clear strokes of this frame", ("Ctrl+Backspace",), "clear"),
    Entry("remove_key", "Edit", "Remove this key frame", ("Shift+C",), "", "Take away its strokes and its picture"),
    Entry("brush", "Tools", "Brush", ("B",), "brush", "Paint color; the picture fills while you paint", "tool", True),
    Entry("eraser", "Tools", "Eraser", ("E",), "eraser", "Take strokes away where you paint", "tool", True),
    Entry("protect", "Tools", "Protect", ("R",), "protect", "Paint where the frame keeps its own color", "tool", True),
    Entry("picker", "Tools", "Pick color", ("P",), "picker",
          "Take the color under the cursor (with any tool: Alt + click or Ctrl + click)", "tool", True),
    Entry("pan", "Tools", "Pan", ("H",), "pan", "Move the view (any tool: middle drag, Space + drag)", "tool", True),
    Entry("smaller", "Tools", "Smaller brush", ("[",), "", "Also Shift + drag on the canvas"),
    Entry("larger", "Tools", "Larger brush", ("]",), "", "Also Shift + drag on the canvas"),
    Entry("softer", "Tools", "Softer brush", ("{", "Shift+[")),
    Entry("harder", "Tools", "Harder brush", ("}", "Shift+]")),
    Entry("propagate", "Propagate", "Propagate", ("Ctrl+Return", "Ctrl+Enter"), "both",
          "Carry the key frames' color over the range, blended between keys", on_accent=True),
    Entry("propagate_forward", "Propagate", "Propagate forward", ("Ctrl+Right",), "forward",
          "Carry each key's color only to the frames after it"),
    Entry("propagate_backward", "Propagate", "Propagate backward", ("Ctrl+Left",), "backward",
          "Carry each key's color only to the frames before it"),
    Entry("stop", "Propagate", "Stop", ("Esc",), "stop", "Stop at once; frames that are done stay"),
    Entry("from_grey", "Propagate", "Drop the clip's own color", (), "",
          "Treat a tinted or colored clip as grey, also where no color is carried", "", True),
    Entry("play", "Playback", "Play / pause", ("Space",), "play"),
    Entry("shuttle_back", "Playback", "Shuttle backward", ("J",), "", "Again: faster"),
    Entry("shuttle_stop", "Playback", "Shuttle stop", ("K",)),
    Entry("shuttle_forward", "Playback", "Shuttle forward", ("L",), "", "Again: faster"),
    Entry("previous_frame", "Playback", "Previous frame", ("Left", ","), "step_back"),
    Entry("next_frame", "Playback", "Next frame", ("Right", "."), "step_forward"),
    Entry("back_second", "Playback", "Back one second", ("Shift+Left",)),
    Entry("forward_second", "Playback", "Forward one second", ("Shift+Right",)),
    Entry("first_frame", "Playback", "First frame", ("Home",), "first"),
    Entry("last_frame", "Playback", "Last frame", ("End",), "last"),
    Entry("previous_key", "Playback", "Previous key frame", ("PgUp", "Alt+Left"), "previous_key"),
    Entry("next_key", "Playback", "Next key frame", ("PgDown", "Alt+Right"), "next_key"),
    Entry("mark_in", "Playback", "Mark in", ("I",), "in", "The range starts at this frame"),
    Entry("mark_out", "Playback", "Mark out", ("O",), "out", "The range ends with this frame"),
    Entry("go_in", "Playback", "Go to in mark", ("Shift+I",)),
    Entry("go_out", "Playback", "Go to out mark", ("Shift+O",)),
    Entry("clear_in", "Playback", "Clear in mark", ("Alt+I",)),
    Entry("clear_out", "Playback", "Clear out mark", ("Alt+O",)),
    Entry("zoom_in", "View", "Zoom in", ("Ctrl+=", "Ctrl++"), "", "Also the wheel, at the cursor"),
    Entry("zoom_out", "View", "Zoom out", ("Ctrl+-",), "", "Also the wheel, at the cursor"),
    Entry("fit", "View", "Fit the window", ("Ctrl+0",), "fit"),
    Entry("actual", "View", "One to one", ("Ctrl+1",), "one", "One pixel of the clip is one pixel of the screen"),
    Entry("timeline_in", "View", "Zoom timeline in", ("Alt+Up",), "", "Also the wheel on the timeline"),
    Entry("timeline_out", "View", "Zoom timeline out", ("Alt+Down",), "", "Also the wheel on the timeline"),
    Entry("timeline_all", "View", "Whole clip in the timeline", ("Alt+0",)),
    Entry("before_after", "View", "Before / after", ("Z",), "eye", "Show the clip as it came, or colored", "", True),
    Entry("wipe", "View", "Wipe", ("W",), "wipe", "Before on the left, after on the right; drag the line", "", True),
    Entry("hints", "View", "Show strokes", ("V",), "", "", "", True),
    Entry("zebra", "View", "Zebra", ("Shift+Z",), "",
          "Stripes over what is clipped: in the clip, or at the view's exposure where light is known", "", True),
    Entry("theme_system", "View", "Colors of the system", (), "", "", "theme", True),
    Entry("theme_dark", "View", "Dark", (), "", "", "theme", True),
    Entry("theme_light", "View", "Light", (), "", "", "theme", True),
    Entry("full_screen", "View", "Full screen", ("F11",), "", "", "", True),
    Entry("shortcuts", "Help", "Shortcuts", ("?", "F1"), "help", "Every key in one list"),
    Entry("about", "Help", "About Huecast"),
)

# Where a menu has a line above an action.
LINES_ABOVE = {"save", "import_key", "quit", "keep_key", "smaller", "stop", "from_grey", "previous_frame",
               "previous_key", "mark_in", "timeline_in", "before_after", "theme_system", "full_screen"}

MOUSE = (
    ("Wheel", "Zoom to the cursor, on the canvas and on the timeline"),
    ("Shift + wheel on the timeline", "Move along the clip"),
    ("Middle drag, Space + drag", "Pan (middle drag on the timeline too)"),
    ("Alt + click, Ctrl + click", "Pick the color under the cursor"),
    ("Shift + drag", "Brush size"),
    ("Esc while painting", "Take the stroke back"),
    ("\\ held down", "Show the clip as it came"),
    ("K held, then J or L", "One frame back or on"),
    ("1 … 9", "Choose a swatch"),
)


def make_actions(parent: QWidget, theme: Theme) -> dict[str, QAction]:
    """One QAction per entry, by name, with tooltips that tell the keys."""
    groups: dict[str, QActionGroup] = {}
    actions: dict[str, QAction] = {}
    for entry in ENTRIES:
        action = QAction(entry.text, parent)
        action.setObjectName(entry.name)
        action.setCheckable(entry.checkable)
        action.setShortcuts([QKeySequence(keys) for keys in entry.keys])
        action.setToolTip(tooltip(entry))
        if entry.icon:
            action.setIcon(icons.icon(entry.icon, theme, on_accent=entry.on_accent))
            action.setIconVisibleInMenu(False)
        if entry.group:
            group = groups.setdefault(entry.group, QActionGroup(parent))
            group.addAction(action)
        actions[entry.name] = action
        parent.addAction(action)
    return actions


def repaint_icons(actions: dict[str, QAction], theme: Theme) -> None:
    """Draws the icons again in another theme's color."""
    for entry in ENTRIES:
        if entry.icon:
            actions[entry.name].setIcon(icons.icon(entry.icon, theme, on_accent=entry.on_accent))


def tooltip(entry: Entry) -> str:
    """The entry's words, keys and explanation as a tooltip."""
    keys = f" ({key_text(entry)})" if entry.keys else ""
    words = entry.text.rstrip("…")
    return f"<b>{words}</b>{keys}<br>{entry.tip}" if entry.tip else f"<b>{words}</b>{keys}"


def key_text(entry: Entry) -> str:
    """The entry's keys in the system's own words."""
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(keys).toString(native) for keys in entry.keys)


class ShortcutDialog(QDialog):
    """Every key in one list, with a field to search it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Shortcuts")
        self.resize(620, 640)
        self._search = QLineEdit(placeholderText="Search", clearButtonEnabled=True)
        self._search.textChanged.connect(self._filter)
        self._rows: list[tuple[str, list[QLabel]]] = []
        area = QScrollArea(widgetResizable=True)
        area.setWidget(self._list())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (self._search, area, buttons):
            layout.addWidget(widget)

    def _list(self) -> QWidget:
        body = QWidget()
        grid = QGridLayout(body)
        grid.setColumnStretch(1, 1)
        grid.setHorizontalSpacing(24)
        menu = ""
        for entry in ENTRIES:
            if entry.keys:
                if entry.menu != menu:
                    menu = entry.menu
                    self._add_heading(grid, menu)
                self._add_row(grid, key_text(entry), entry.text.rstrip("…"), menu)
        self._add_heading(grid, "Mouse and held keys")
        for keys, words in MOUSE:
            self._add_row(grid, keys, words, "mouse")
        grid.setRowStretch(grid.rowCount(), 1)
        return body

    def _add_heading(self, grid: QGridLayout, words: str) -> None:
        label = named(QLabel(words), "heading")
        grid.addWidget(label, grid.rowCount(), 0, 1, 2)

    def _add_row(self, grid: QGridLayout, keys: str, words: str, menu: str) -> None:
        labels = [QLabel(keys), QLabel(words)]
        labels[0].setTextFormat(Qt.TextFormat.PlainText)
        row = grid.rowCount()
        for column, label in enumerate(labels):
            grid.addWidget(label, row, column)
        self._rows.append((f"{keys} {words} {menu}".lower(), labels))

    def _filter(self, text: str) -> None:
        for words, labels in self._rows:
            for label in labels:
                label.setVisible(text.lower() in words)
