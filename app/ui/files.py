"""Opening, saving, importing and relinking, with the questions that keep work from being lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSettings, QStandardPaths, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from app.errors import NewerProjectError, ProjectError, ProjectLockedError, SourceChangedError, SourceMissingError
from app.project.commands import SetPicture, SetSource
from app.project.document import Project, Source
from app.project.media import Found, SourceState, clip_files, fingerprint
from app.project.plan import encode_picture
from app.project.store import SUFFIX, open_project
from app.ui import messages, recovery
from app.ui.recovery import Recovery
from app.ui.session import Session
from propagation.errors import PropagationError

if TYPE_CHECKING:
    from propagation.video.frame import ClipInfo

CLIPS = "Clips and projects (*.huecast *.mp4 *.mov *.mkv *.avi *.webm *.mxf *.m4v *.mpg *.ts *.gif *.png *.tif *.jpg)"
PICTURES = "Pictures (*.png *.tif *.tiff *.jpg *.jpeg)"
RECENT = 8
PROGRAM = Path(__file__).resolve().parents[2]


class Files(QObject):
    """What the File menu does. Dialogs are children of the window."""

    told = Signal(str)
    """What a person should know of something that was done, in a sentence."""

    def __init__(self, window: QWidget, session: Session, settings: QSettings, kept: Recovery) -> None:
        super().__init__(window)
        self._window, self._session, self._settings, self._kept = window, session, settings, kept

    # Opening.

    def ask_open(self) -> None:
        """Asks for a clip or a project, and opens it."""
        path, _ = QFileDialog.getOpenFileName(self._window, "Open", self._folder(), f"{CLIPS};;All files (*)")
        if path:
            self.open(Path(path))

    def ask_open_folder(self) -> None:
        """Asks for a folder of numbered pictures, and opens it."""
        path = QFileDialog.getExistingDirectory(self._window, "Open image sequence", self._folder())
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> bool:
        """Opens a project or starts one on a clip; False when the user stays with what is open, or it fails."""
        if not self.may_leave():
            return False
        try:
            if path.name.lower().endswith(f"{SUFFIX}~"):
                return self._recover(path, path.with_name(path.name[:-1]))
            if path.suffix.lower() == SUFFIX:
                self._open_project(path)
            else:
                self._session.start(Project(source=source_of(path)))
        except ProjectLockedError as error:
            return self._open_copy(path, error)
        except NewerProjectError as error:
            messages.show_error(self._window, "Cannot open", error)
            return False
        except ProjectError as error:
            return self._open_previous(path, error)
        except (PropagationError, OSError) as error:
            messages.show_error(self._window, "Cannot open", error)
            return False
        self._remember(path)
        return True

    def _open_project(self, path: Path) -> None:
        found = self._session.open(path)
        if found.state in (SourceState.MISSING, SourceState.CHANGED):
            self._offer_relink(found)

    def _open_copy(self, path: Path, error: ProjectLockedError) -> bool:
        what, advice = messages.words_of(error)
        if not messages.ask(self._window, "Project is open elsewhere", what,
                            f"{advice} A copy can be opened to look at, or to save under another name.", "Open a copy"):
            return False
        try:
            opened = open_project(path)
        except ProjectError as damage:
            messages.show_error(self._window, "Cannot open", damage)
            return False
        self._session.start(opened.project)
        if opened.source.state in (SourceState.MISSING, SourceState.CHANGED):
            self._offer_relink(opened.source)
        return True

    def _open_previous(self, path: Path, error: ProjectError) -> bool:
        """Offers the version before of a project that is damaged, where one was kept."""
        previous = path.with_name(f"{path.name}~")
        if not previous.exists():
            messages.show_error(self._window, "Cannot open", error)
            return False
        what, _ = messages.words_of(error)
        if not messages.ask(self._window, "Project is damaged", what,
                            "The version before it was kept. It can be opened; nothing is written until you save.",
                            "Open the version before"):
            return False
        try:
            return self._recover(previous, path)
        except ProjectError as damage:
            messages.show_error(self._window, "Cannot open", damage)
            return False

    def _recover(self, kept: Path, path: Path) -> bool:
        """Opens the version that was kept of the project `path` as unsaved work on it."""
        opened = open_project(kept)
        self._session.recover(opened.project, path)
        if opened.source.state in (SourceState.MISSING, SourceState.CHANGED):
            self._offer_relink(opened.source)
        return True

    def _offer_relink(self, found: Found) -> None:
        places = "\n".join(str(place) for place in found.looked_at[:3])
        if found.state is SourceState.MISSING:
            what, advice = "The clip of this project is not where it was.", f"Looked at:\n{places}\n\n"
        else:
            what = "The clip of this project was changed or replaced."
            advice = f"{found.path}\n\nWhat you painted may not fit it. "
        if messages.ask(self._window, "Relink clip", what, f"{advice}Choose the clip; your work is kept meanwhile.",
                        "Choose clip…", "Not now"):
            self.ask_relink()

    def ask_relink(self) -> None:
        """Asks where the clip is now."""
        path, _ = QFileDialog.getOpenFileName(self._window, "Where is the clip?", self._folder(), "All files (*)")
        if path:
            self.relink(Path(path))

    def relink(self, path: Path) -> bool:
        """Points the project at another file, saying so when its content is not what it was."""
        old = self._session.project.source
        try:
            source = source_of(path)
        except (PropagationError, OSError) as error:
            messages.show_error(self._window, "Cannot relink", error)
            return False
        if old is not None and not old.fingerprint.same_content(source.fingerprint):
            other = SourceChangedError("this is not the clip that the project was made on", path=path)
            if not messages.ask(self._window, "Relink clip", messages.words_of(other)[0],
                                "A copy in another format is fine when its frames are the same ones.", "Use it"):
                return False
        return self._session.do(SetSource(source))

    def offer_recovery(self, *, asked: bool = True) -> bool:
        """Offers work that windows left which ended without closing; says so where there is none and one `asked`."""
        if not self.may_leave():
            return False
        left = recovery.offer(self._window, self._kept)
        if left is None:
            if asked:
                messages.tell(self._window, "Unsaved work", "There is no unsaved work to recover.")
            return False
        if left.source.state in (SourceState.MISSING, SourceState.CHANGED):
            self._offer_relink(left.source)
        return True

    # Saving.

    def save(self) -> bool:
        """Saves, asking for a name where there is none; False when nothing was saved."""
        if self._session.path is None:
            return self.save_as()
        return self._save(None)

    def save_as(self) -> bool:
        """Asks for a name and saves."""
        suggestion = str(Path(self._folder()) / f"{Path(self._session.name).stem}{SUFFIX}")
        path, _ = QFileDialog.getSaveFileName(self._window, "Save project", suggestion, f"Huecast project (*{SUFFIX})")
        if not path:
            return False
        target = Path(path)
        if target.suffix.lower() != SUFFIX:
            # The dialog asked about the name as it was typed, not about this one.
            target = target.with_name(target.name + SUFFIX)
            if target.exists() and not messages.ask(self._window, "Save project", f"{target.name} is there already.",
                                                    f"It would be kept as {target.name}~.", "Replace"):
                return False
        return self._save(target)

    def _save(self, path: Path | None) -> bool:
        try:
            self._session.save(path)
        except (PropagationError, OSError) as error:
            messages.show_error(self._window, "Cannot save", error)
            return False
        if self._session.path is not None:
            self._remember(self._session.path)
        return True

    def may_leave(self) -> bool:
        """Asks about unsaved work; False when the user wants to stay."""
        if not self._session.unsaved:
            return True
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Unsaved work")
        box.setText(f"Save the changes to {self._session.name}?")
        box.setInformativeText("They are lost otherwise.")
        buttons = QMessageBox.StandardButton
        box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
        box.setDefaultButton(buttons.Save)
        answer = box.exec()
        box.deleteLater()
        if answer == buttons.Save:
            return self.save()
        return bool(answer == buttons.Discard)

    # Key frames.

    def ask_import_key(self, frame: int) -> None:
        """Asks for a colored picture of a frame."""
        title = f"Colored picture of frame {frame}"
        path, _ = QFileDialog.getOpenFileName(self._window, title, self._folder(), PICTURES)
        if path:
            self.import_key(frame, Path(path))

    def import_key(self, frame: int, path: Path) -> bool:
        """Makes a picture file the key of a frame: laid onto it where it lies elsewhere, which is then said."""
        from app.importing import read_picture_for
        from propagation.video.reader import open_clip

        source = self._session.project.source
        if source is None:
            return False
        try:
            with open_clip(Path(source.path)) as clip:
                image, remark = read_picture_for(clip.frame(frame), path)
            picture = encode_picture(image, path.name)
        except (PropagationError, OSError) as error:
            messages.show_error(self._window, "Cannot import", error)
            return False
        done = self._session.do(SetPicture(frame, picture))
        if done and remark:
            self.told.emit(remark)
        return done

    # Places.

    def export_stem(self) -> str:
        """What an exported file is called after."""
        source = self._session.project.source
        return Path(source.path).stem.partition("%")[0].rstrip("_.-") or "clip" if source else "clip"

    def export_folder(self) -> Path:
        """Where an export is suggested: beside the project, else beside the clip, else at home.

        Never inside the program itself, where the sample's clip lies: an update would take it away.
        """
        source = self._session.project.source
        places = [self._session.path, Path(source.path) if source else None]
        for place in places:
            if place is not None and os.access(place.parent, os.W_OK) and PROGRAM not in place.parents:
                return place.parent
        return _home()

    def recent(self) -> list[Path]:
        """Files opened before that are still there, newest first."""
        told = self._settings.value("recent", [])
        paths = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        return [Path(path) for path in paths if Path(path).exists()]

    def _remember(self, path: Path) -> None:
        kept = [str(path.absolute()), *(str(old) for old in self.recent() if old != path.absolute())]
        self._settings.setValue("recent", kept[:RECENT])

    def _folder(self) -> str:
        if self._session.path is not None:
            return str(self._session.path.parent)
        recent = [path.parent for path in self.recent() if PROGRAM not in path.parents]
        return str(recent[0] if recent else _home())


def _home() -> Path:
    """The folder for films where there is one, else the home folder."""
    films = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
    return Path(films) if films and Path(films).is_dir() else Path.home()


def source_of(path: Path) -> Source:
    """The clip at `path` as a project refers to it. Raises what probing it raises."""
    from propagation.video.probe import probe

    path = path.absolute()
    if not path.exists() and "%" not in path.name:
        raise SourceMissingError("there is no such file", path=path, advice="Check the name")
    info: ClipInfo = probe(path)
    return Source(
        path=str(path),
        kind=info.kind,
        width=info.width,
        height=info.height,
        frame_count=info.frame_count,
        rate=info.rate,
        fingerprint=fingerprint(clip_files(path)),
    )
