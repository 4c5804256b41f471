"""Opens the window: checks that there is a screen and a font first, since Qt would end the process without them."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PySide6.QtCore import QSettings

    from app.pipeline import Pipeline
    from app.ui.window import MainWindow

NO_SCREEN = (
    "There is no screen to open the window on (neither DISPLAY nor WAYLAND_DISPLAY is set). "
    "Start it on a desktop, or work without a window: `python3 run.py --help` lists the verbs."
)
DEAF_SCREEN = (
    "The screen that DISPLAY names ({}) does not answer. Start it on a desktop, or set DISPLAY to a screen that is "
    "there; `python3 run.py --help` lists the verbs that need none."
)
NO_FONTS = (
    "There are no fonts on this machine, so the window would show empty boxes. "
    "Install some: apt-get install fonts-dejavu"
)
MISSING_LIBRARY = (
    "A system library that the window needs is missing ({}). On Debian or Ubuntu: apt-get install libgl1 libegl1 "
    "libglib2.0-0 libxkbcommon0 libfontconfig1 libdbus-1-3 libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 "
    "libxcb-keysyms1 libxcb-shape0 libxcb-image0 libxcb-randr0 libxcb-render-util0 libxcb-xkb1 libx11-xcb1"
)
CANNOT_START = 5


def run_window(argv: Sequence[str]) -> int:
    """Opens the window, with the file that `argv` names if it names one; returns the exit code when it is closed."""
    if has_no_screen(os.environ, sys.platform):
        return _complain(NO_SCREEN)
    if is_deaf(os.environ, sys.platform):
        return _complain(DEAF_SCREEN.format(os.environ["DISPLAY"]))
    try:
        from PySide6.QtGui import QFontDatabase
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        return _complain(MISSING_LIBRARY.format(error))
    with contextlib.suppress(OSError, RuntimeError):  # a start without a console has nowhere to write to
        faulthandler.enable()
    app = QApplication.instance() or QApplication([sys.argv[0]])
    name_application()
    if not QFontDatabase.families():
        return _complain(NO_FONTS)
    window = make_window()
    window.show()
    _open_first(window, list(argv))
    hook = sys.excepthook
    sys.excepthook = _say_unexpected(window, hook)
    try:
        return int(app.exec())
    finally:
        sys.excepthook = hook
        window.shut_down()


def has_no_screen(environment: Any, platform: str) -> bool:
    """Whether Qt would end the process for want of a screen."""
    if not platform.startswith("linux") or environment.get("QT_QPA_PLATFORM"):
        return False
    return not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def is_deaf(environment: Any, platform: str) -> bool:
    """Whether DISPLAY names a screen of this machine that nobody serves; Qt would end the process there too."""
    number = re.fullmatch(r"(?:unix)?:(\d+)(?:\.\d+)?", environment.get("DISPLAY", ""))
    if not platform.startswith("linux") or number is None:
        return False
    if environment.get("QT_QPA_PLATFORM", "xcb") != "xcb" or environment.get("WAYLAND_DISPLAY"):
        return False
    for name in (f"/tmp/.X11-unix/X{number[1]}", f"\0/tmp/.X11-unix/X{number[1]}"):
        with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
            door.settimeout(2)
            door.connect(name)
            return False
    return True


def name_application() -> None:
    """Tells Qt where settings belong."""
    from PySide6.QtCore import QCoreApplication
    from PySide6.QtGui import QGuiApplication

    QCoreApplication.setOrganizationName("Huecast")
    QCoreApplication.setApplicationName("Huecast")
    QGuiApplication.setDesktopFileName("huecast")


def make_window(
    load: Callable[[], tuple[Pipeline, Any]] | None = None, settings: QSettings | None = None, device: str = "auto"
) -> MainWindow:
    """The window, not yet shown; `load` stands in for the trained networks in tests."""
    from PySide6.QtCore import QSettings

    from app.ui import theme
    from app.ui.window import MainWindow

    settings = settings or QSettings()
    theme.choose(str(settings.value("theme", "system")))
    return MainWindow(load or load_networks, settings, device)


def load_networks() -> tuple[Pipeline, Any]:
    """The trained networks; imports torch, so it is called on the worker's thread."""
    from app import machine
    from app.pipeline import real

    machine.set_threads()
    stages = real()
    return stages, stages.load_densifier(machine.choose_device("auto"))


def _open_first(window: MainWindow, argv: list[str]) -> None:
    """Work that a crash left, else what the command line names, or the sample on the very first start."""
    from PySide6.QtCore import QTimer

    from app.ui import sample

    paths = [Path(argument) for argument in argv if not argument.startswith("-")]
    is_first = not window.settings.value("started_before", False, type=bool)
    window.settings.setValue("started_before", True)

    def open_something() -> None:
        if window.files.offer_recovery(asked=False):
            if paths:
                window.say(f"{paths[0].name} was not opened; save this work first")
            return
        if paths:
            window.files.open(paths[0])
        elif is_first and sample.CLIP.exists():
            sample.open_sample(window.files, window.session)

    QTimer.singleShot(0, open_something)


def _say_unexpected(window: MainWindow, before: Callable[..., Any]) -> Callable[..., None]:
    """An excepthook that keeps the window open and words what happened, also for errors in slots."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        from app.ui import messages

        before(kind, error, trace)
        if isinstance(error, Exception):
            window.recovery.write_now()
            messages.show_error(window, "Something went wrong", error)

    return hook


def _complain(words: str) -> int:
    print(f"huecast: {words}", file=sys.stderr)
    return CANNOT_START
