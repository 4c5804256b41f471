"""What each action of the window does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from app.errors import EditError
from app.project.commands import ClearStrokes, RemoveKey, SetMarks, SetPicture, SetSettings
from app.project.plan import encode_picture
from app.ui import sample, theme
from app.ui.export_dialog import ExportDialog
from app.ui.shortcuts import ShortcutDialog

if TYPE_CHECKING:
    from app.ui.window import MainWindow


NEED_CLIP = ("play", "shuttle_back", "shuttle_forward", "previous_frame", "next_frame", "back_second",
             "forward_second", "first_frame", "last_frame", "previous_key", "next_key", "mark_in", "mark_out", "go_in",
             "go_out", "timeline_in", "timeline_out", "timeline_all")
# What a key may do with the brush down; anything else lifts it first, as it may change what the brush paints on.
WHILE_PAINTING = {"stop", "smaller", "larger", "softer", "harder", "zoom_in", "zoom_out", "fit", "actual"}


class Actions:
    """Connects the actions by name to what they do."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        playback, canvas, tools, files = window.playback, window.canvas, window.tools, window.files
        does: dict[str, Callable[[], object]] = {
            "open": files.ask_open,
            "open_folder": files.ask_open_folder,
            "sample": lambda: sample.open_sample(window.files, window.session),
            "save": lambda: self.save(files.save),
            "save_as": lambda: self.save(files.save_as),
            "relink": files.ask_relink,
            "recover": files.offer_recovery,
            "import_key": lambda: files.ask_import_key(playback.frame),
            "import_hdr_key": window.hdr_verbs.ask_key,
            "drop_hdr_key": window.hdr_verbs.drop_key,
            "export_hdr": window.hdr_verbs.export,
            "export": self.export,
            "quit": window.close,
            "undo": self.undo,
            "redo": self.redo,
            "keep_key": self.keep_key,
            "drop_picture": lambda: window.session.do(SetPicture(playback.frame, None)),
            "clear_strokes": lambda: window.session.do(ClearStrokes(playback.frame)),
            "remove_key": lambda: window.session.do(RemoveKey(playback.frame)),
            "smaller": lambda: tools.step_size(-1),
            "larger": lambda: tools.step_size(1),
            "softer": lambda: tools.step_hardness(-1),
            "harder": lambda: tools.step_hardness(1),
            "propagate": lambda: self.propagate("both"),
            "propagate_forward": lambda: self.propagate("forward"),
            "propagate_backward": lambda: self.propagate("backward"),
            "stop": self.stop,
            "play": playback.toggle,
            "shuttle_back": lambda: playback.shuttle(-1),
            "shuttle_stop": playback.stop,
            "shuttle_forward": lambda: playback.shuttle(1),
            "previous_frame": lambda: playback.step(-1),
            "next_frame": lambda: playback.step(1),
            "back_second": lambda: playback.step_seconds(-1),
            "forward_second": lambda: playback.step_seconds(1),
            "first_frame": lambda: playback.go(0),
            "last_frame": lambda: playback.go(playback.count - 1),
            "previous_key": lambda: self.go_key(-1),
            "next_key": lambda: self.go_key(1),
            "mark_in": lambda: self.mark(mark_in=playback.frame),
            "mark_out": lambda: self.mark(mark_out=playback.frame),
            "go_in": lambda: playback.go(window.session.project.range.start),
            "go_out": lambda: playback.go(window.session.project.range.stop - 1),
            "clear_in": lambda: self.mark(mark_in=None),
            "clear_out": lambda: self.mark(mark_out=None),
            "zoom_in": lambda: canvas.zoom_by(1.25),
            "zoom_out": lambda: canvas.zoom_by(0.8),
            "fit": canvas.fit,
            "actual": canvas.show_actual,
            "timeline_in": lambda: window.timeline.zoom(1.5),
            "timeline_out": lambda: window.timeline.zoom(1 / 1.5),
            "timeline_all": window.timeline.show_all,
            "shortcuts": lambda: self._show(ShortcutDialog(window)),
            "about": window.about,
        }
        for name, do in does.items():
            window.action(name).triggered.connect(lambda _=False, name=name, do=do: self._run(name, do))
        for tool in ("brush", "eraser", "protect", "picker", "pan"):
            window.action(tool).triggered.connect(lambda _=False, tool=tool: tools.set(tool=tool))
        window.action("before_after").toggled.connect(canvas.set_before)
        window.action("wipe").toggled.connect(lambda on: canvas.set_wipe(0.5 if on else None))
        window.action("hints").setChecked(True)
        window.action("hints").toggled.connect(self.show_hints)
        window.action("from_grey").triggered.connect(self.set_from_grey)
        window.action("full_screen").toggled.connect(self.full_screen)
        self._connect_themes()

    def _run(self, name: str, do: Callable[[], object]) -> None:
        if name not in WHILE_PAINTING:
            self._window.canvas.finish_stroke()
        do()

    def _connect_themes(self) -> None:
        window = self._window
        chosen = str(window.settings.value("theme", "system"))
        for name in theme.CHOICES:
            action = window.action(f"theme_{name}")
            action.setChecked(name == chosen)
            action.triggered.connect(lambda _=False, name=name: self.choose_theme(name))

    def choose_theme(self, name: str) -> None:
        """Follows the system or stays light or dark, and remembers it."""
        self._window.settings.setValue("theme", name)
        theme.choose(name)
        self._window.take_theme()

    def name_undo(self) -> None:
        """Undo and redo say what they would take back or bring again."""
        undo = self._window.session.undo
        for name, can, label in (
            ("undo", undo.can_undo, undo.history.undo_label),
            ("redo", undo.can_redo, undo.history.redo_label),
        ):
            action = self._window.action(name)
            action.setEnabled(can)
            # A file's name may hold an ampersand, which Qt would take for an underline.
            words = f" {label[0].lower()}{label[1:]}".replace("&", "&&") if label else ""
            action.setText(f"{name.capitalize()}{words}")

    def enable(self) -> None:
        """Only what can be done to the project and the frame in view can be chosen."""
        window = self._window
        session, project, frame = window.session, window.session.project, window.playback.frame
        key, has_clip, has_keys = project.key(frame), window.playback.count > 0, bool(project.keys)
        can = {
            "save": session.unsaved or session.path is None,
            "relink": project.source is not None,
            "import_key": has_clip, "export": has_clip and has_keys,
            "import_hdr_key": has_clip, "drop_hdr_key": frame in window.hdr.keys,
            "export_hdr": has_clip and bool(window.hdr.keys), "zebra": has_clip,
            "keep_key": has_clip and key.is_empty and window.results.get(frame) is not None,
            "drop_picture": key.picture is not None and bool(key.strokes),
            "clear_strokes": bool(key.strokes), "remove_key": not key.is_empty,
            "propagate": has_keys, "propagate_forward": has_keys, "propagate_backward": has_keys,
            "clear_in": project.mark_in is not None, "clear_out": project.mark_out is not None,
            **dict.fromkeys(NEED_CLIP, has_clip),
        }
        for name, enabled in can.items():
            window.action(name).setEnabled(enabled)
        window.action("from_grey").setChecked(project.settings.from_grey)

    def save(self, save: Callable[[], bool]) -> None:
        """Saves, and says where to."""
        if save():
            self._window.say(f"Saved to {self._window.session.path}")

    def undo(self) -> None:
        """Takes the last edit back and says which, as it may be on a frame out of view."""
        label = self._window.session.undo.history.undo_label
        self._window.session.undo_step()
        if label:
            self._window.say(f"Undone: {label}")

    def redo(self) -> None:
        """Does the edit taken back last again and says which."""
        label = self._window.session.undo.history.redo_label
        self._window.session.redo_step()
        if label:
            self._window.say(f"Done again: {label}")

    def propagate(self, direction: str) -> None:
        """Carries color over the range, after recording the direction in the project."""
        window = self._window
        settings = window.session.project.settings
        if settings.direction != direction:
            window.session.do(SetSettings(replace(settings, direction=direction)))
        try:
            if not window.propagation.start(window.session.project):
                window.say("Every frame of the range is up to date")
                return
        except EditError as error:
            window.session.refused.emit(error)
            return
        window.say("Propagating… Esc stops")
        window.status_line.job_bar.setRange(0, 0)
        window.status_line.job_bar.show()

    def stop(self) -> None:
        """Esc: a stroke in hand, else the running job, else playing."""
        window = self._window
        if window.canvas.cancel_drag():
            window.say("Stroke taken back")
        elif window.propagation.running:
            window.propagation.stop()
        else:
            window.playback.stop()

    def go_key(self, direction: int) -> None:
        """The next key frame in a direction."""
        window = self._window
        here, keys = window.playback.frame, window.session.project.key_numbers()
        found = [n for n in keys if (n - here) * direction > 0]
        if found:
            window.playback.stop()
            window.playback.go(min(found) if direction > 0 else max(found))
        else:
            window.say("No further key frame in this direction")

    def mark(self, **marks: int | None) -> None:
        """Sets or clears marks; one that would cross the other takes the other away."""
        project = self._window.session.project
        new = {"mark_in": project.mark_in, "mark_out": project.mark_out, **marks}
        start, stop = new["mark_in"], new["mark_out"]
        if start is not None and stop is not None and start > stop:
            new["mark_out" if "mark_in" in marks else "mark_in"] = None
        self._window.session.do(SetMarks(new["mark_in"], new["mark_out"]))

    def drag_marks(self, mark_in: int | None, mark_out: int | None, drag: int) -> None:
        """Marks dragged on the timeline: one undo step a drag."""
        self._window.session.do(SetMarks(mark_in, mark_out, drag=drag))

    def keep_key(self) -> None:
        """Makes the color shown on this frame a key frame."""
        window = self._window
        frame = window.playback.frame
        picture = window.frames.color(frame)
        if picture is None:
            window.say("This frame has no color to keep yet")
            return
        window.session.do(SetPicture(frame, encode_picture(picture, "carried")))

    def set_from_grey(self, on: bool) -> None:
        """Whether the clip's own color is dropped first."""
        settings = self._window.session.project.settings
        self._window.session.do(SetSettings(replace(settings, from_grey=on)))

    def show_hints(self, on: bool) -> None:
        """Shows or hides the strokes."""
        slider = self._window.layer_panel.sliders["hints"]
        slider.setValue(70 if on else 0)

    def full_screen(self, on: bool) -> None:
        """Fills the screen, or not."""
        if on:
            self._window.showFullScreen()
        else:
            self._window.showNormal()

    def export(self) -> None:
        """Opens the export dialog on the project as it is."""
        dialog = self.export_dialog()
        dialog.exec()
        dialog.deleteLater()

    def export_dialog(self) -> ExportDialog:
        """The export dialog, not yet shown."""
        window = self._window
        project = window.session.project
        window.playback.stop()
        colors = window.results.fresh_colors(project)
        return ExportDialog(project, window.files.export_stem(), window.files.export_folder(), colors,
                            window.wait_for_stages, window.device, window)

    def _show(self, dialog: ShortcutDialog) -> None:
        dialog.exec()
        dialog.deleteLater()
