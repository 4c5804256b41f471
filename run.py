#!/usr/bin/env python3
"""Sets Huecast up once and hands over: the only file that needs nothing installed.

    python3 run.py [CLIP]           opens the program
    python3 run.py demo             shows it at work
    python3 run.py VERB ...         any verb of the command line (propagate, densify, info, ...)
    python3 run.py test [ARGS]      runs the tests (ARGS go to pytest)
    python3 run.py lint             runs ruff and mypy

Standard library only, and its syntax stays old enough for an old Python to reach the sentence that says so.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = (3, 11)

# What the wheels unpack to on this side of pip's own temporary copies: 1.5 GB with a CPU torch, about 6 GB with CUDA.
NEEDED_BYTES = 3 * 10**9

# glibc gives large blocks back to the system at once and gets them again page by page, which costs the networks a
# fifth of their time: keep half a gigabyte, and ask for huge pages. Other C libraries ignore it.
MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=134217728:glibc.malloc.trim_threshold=536870912"

# CuPy's package for each major version of CUDA that torch may be built for.
CUPY = {"12": "cupy-cuda12x", "13": "cupy-cuda13x"}

# The Debian package behind each shared library that PySide6 loads (found by repeating the import on a bare Debian 12).
QT_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
}
XCB_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libX11-xcb.so.1": "libx11-xcb1",
}


class SetupError(Exception):
    """Set-up cannot go on; the text says what is missing and how to get it."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def say(line: str) -> None:
    """Prints one line of progress to stderr, so that a verb's own output stays clean."""
    print(line, file=sys.stderr, flush=True)


def check_python() -> None:
    """Raises SetupError under a Python older than the wheels support."""
    if sys.version_info < OLDEST:
        have = ".".join(str(part) for part in sys.version_info[:3])
        raise SetupError(
            f"Huecast needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and this is Python {have} ({sys.executable}). "
            f"Install a newer one and start it by its name, for example: python{OLDEST[0]}.{OLDEST[1]} run.py"
        )


def check_disk() -> None:
    """Raises SetupError where the disk cannot hold the libraries."""
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"Huecast needs {NEEDED_BYTES / 1e9:.0f} GB free to install its libraries, and {ROOT} has "
            f"{free / 1e9:.1f} GB. Free some space, then run this again.",
            code=5,
        )


def missing_libraries(libraries: dict[str, str]) -> list[str]:
    """Names the Debian packages of the shared libraries that this machine cannot load."""
    missing = []
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def check_system(with_screen: bool) -> None:
    """Raises SetupError with the apt line where Qt's system libraries are missing (Linux alone)."""
    if not sys.platform.startswith("linux"):
        return
    libraries = dict(QT_LIBRARIES)
    if with_screen and os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        libraries.update(XCB_LIBRARIES)
    missing = missing_libraries(libraries)
    if missing:
        raise SetupError(
            "the window's library (Qt) needs system packages that are not here. On Debian or Ubuntu:\n"
            f"    apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
        )


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is here: its library can be loaded, or its tool is on the path."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return shutil.which("nvidia-smi") is not None
    return True


def stamp_text(extra: str) -> str:
    """The state an installation was made for: the dependencies, the extra, this Python, and whether a GPU was there."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update(extra.encode())
    digest.update(b"driver" if has_nvidia_driver() else b"")
    digest.update(sys.version.encode())
    return digest.hexdigest()


def stamp_path(extra: str) -> Path:
    """Where the stamp of an installation lies; removing it makes the next start install again."""
    return VENV / f".stamp-{extra or 'app'}"


def installed(extra: str) -> bool:
    """Whether .venv holds what pyproject.toml asks for; an interrupted installation has no stamp."""
    try:
        return PYTHON.exists() and stamp_path(extra).read_text() == stamp_text(extra)
    except OSError:
        return False


def make_venv() -> None:
    """Makes .venv, anew where its interpreter is gone or of another version."""
    if PYTHON.exists() and _same_version():
        return
    say("Huecast: making .venv (once)")
    try:
        import ensurepip  # noqa: F401  Debian keeps it in a package of its own, and venv's own message is long
        import venv
    except ImportError as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(
            "this Python cannot make a virtual environment. On Debian or Ubuntu:\n"
            f"    apt-get update && apt-get install -y python{version}-venv"
        ) from error
    venv.create(VENV, with_pip=True, clear=VENV.exists())


def _same_version() -> bool:
    asked = subprocess.run(
        [str(PYTHON), "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=False
    )
    return asked.returncode == 0 and asked.stdout.strip() == sys.version.strip()


def install(extra: str) -> None:
    """Installs the project and its libraries into .venv, and stamps it last."""
    check_disk()
    make_venv()
    what = f"{ROOT}[{extra}]" if extra else str(ROOT)
    say("Huecast: installing its libraries into .venv (once; about 400 MB to download, more with CUDA)")
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "-e", what]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise SetupError(
            "pip could not install the libraries; its last lines above say why. Check the network, then run this "
            "again: it goes on where it stopped."
        )
    if has_nvidia_driver():
        install_cupy()
    # The test extra holds everything the program itself needs, so it stamps both.
    for done in {"", extra}:
        stamp_path(done).write_text(stamp_text(done))
    say("Huecast: set up")


def install_cupy() -> None:
    """Installs the CuPy that fits torch's CUDA version; without it scans on the GPU run by a slow loop."""
    probe = [str(PYTHON), "-c", "import torch; print(torch.version.cuda or '')"]
    asked = subprocess.run(probe, capture_output=True, text=True, check=False)
    major = (asked.stdout or "").strip().split(".")[0]
    if major not in CUPY:
        why = f"is made for CUDA {major}" if major else "was built without CUDA"
        say(f"Huecast: there is an NVIDIA driver, but this torch {why}; scans run on the CPU or by a slow loop")
        return
    pip = [str(PYTHON), "-m", "pip"]
    for version, package in CUPY.items():
        # Two builds of CuPy in one environment overwrite each other's files.
        if version != major:
            subprocess.run([*pip, "uninstall", "-q", "-y", package], capture_output=True, check=False)
    command = [*pip, "install", "--disable-pip-version-check", "-e", f"{ROOT}[cuda{major}]"]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        say("Huecast: CuPy could not be installed; scans on the GPU will run by a slow loop. Remove .venv/.stamp-app "
            "to try again.")


def hand_over(command: list[str]) -> int:
    """Runs `command` in this process's place, so that signals and exit codes are its own."""
    os.environ.setdefault("GLIBC_TUNABLES", MALLOC)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # Windows sends Ctrl-C to both processes; the child decides how to stop.
            continue


def run_lint() -> int:
    """Runs ruff and mypy one after the other and returns the first failing exit code."""
    os.chdir(ROOT)
    commands = [["ruff", "check", "."], ["mypy"]]
    codes = []
    for command in commands:
        say(f"Huecast: {' '.join(command)}")
        codes.append(subprocess.run([str(PYTHON), "-m", *command], check=False).returncode)
    return next((code for code in codes if code), 0)


def start(arguments: list[str]) -> int:
    """Sets up what the first argument needs, then hands over; returns an exit code where the process goes on."""
    check_python()
    verb = arguments[0] if arguments else ""
    extra = "test" if verb in ("test", "lint") else ""
    if not installed(extra):
        install(extra)
    if verb == "lint":
        return run_lint()
    if verb == "test":
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        check_system(with_screen=os.environ["QT_QPA_PLATFORM"] == "xcb")
        os.chdir(ROOT)
        return hand_over([str(PYTHON), "-m", "pytest", *arguments[1:]])
    if not verb or (len(arguments) == 1 and Path(verb).exists()):
        check_system(with_screen=True)
    return hand_over([str(PYTHON), str(ROOT / "main.py"), *arguments])


def main() -> int:
    """Runs `start` and words its failures."""
    try:
        return start(sys.argv[1:])
    except SetupError as error:
        say(f"Huecast: {error}")
        return error.code
    except KeyboardInterrupt:
        say("Huecast: stopped. Run the same command again to go on.")
        return 130
    except OSError as error:
        say(f"Huecast: set-up failed: {error}. Check the rights and the space of {ROOT}.")
        return 1


if __name__ == "__main__":
    sys.exit(main())
