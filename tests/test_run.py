"""run.py: set-up happens once, a broken one is redone, and every refusal is a sentence with a way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own, whose .venv is only pretended."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(run, "PYTHON", python)
    monkeypatch.setattr(run, "make_venv", lambda: None)
    monkeypatch.setattr(run, "has_nvidia_driver", lambda: False)
    return tmp_path


def pretend_pip(monkeypatch: pytest.MonkeyPatch, code: int) -> list[list[str]]:
    calls: list[list[str]] = []

    def call(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(run.subprocess, "run", call)
    return calls


def test_installs_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend_pip(monkeypatch, 0)
    assert not run.installed("")
    run.install("")
    assert run.installed("")
    assert calls[0][-1] == str(project)


def test_a_failed_installation_leaves_no_stamp(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pip(monkeypatch, 1)
    with pytest.raises(run.SetupError, match="run this again"):
        run.install("test")
    assert not run.installed("test")
    assert not run.installed("")


def test_the_test_extra_holds_the_program_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend_pip(monkeypatch, 0)
    run.install("test")
    assert calls[0][-1] == f"{project}[test]"
    assert run.installed("test")
    assert run.installed("")


def test_changed_dependencies_install_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pip(monkeypatch, 0)
    run.install("")
    (project / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    assert not run.installed("")


@pytest.mark.parametrize(("version", "extra"), [("13.0\n", "[cuda13]"), ("12.8\n", "[cuda12]"), ("\n", "")])
def test_where_a_driver_is_cupy_follows_torch(
    project: Path, monkeypatch: pytest.MonkeyPatch, version: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []

    def call(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, stdout=version)

    monkeypatch.setattr(run.subprocess, "run", call)
    monkeypatch.setattr(run, "has_nvidia_driver", lambda: True)
    run.install("")
    asked_for = [command[-1] for command in calls if "install" in command]
    assert asked_for == [str(project), f"{project}{extra}"] if extra else [str(project)]
    assert run.installed("") and ("slow loop" in capsys.readouterr().err) is not bool(extra)
    assert all("uninstall" not in command or command[-1] not in f"cupy-{extra[1:-1]}x" for command in calls)


def test_a_driver_that_comes_later_installs_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pip(monkeypatch, 0)
    run.install("")
    monkeypatch.setattr(run, "has_nvidia_driver", lambda: True)
    assert not run.installed("")


def test_a_lost_interpreter_installs_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pip(monkeypatch, 0)
    run.install("")
    run.PYTHON.unlink()
    assert not run.installed("")


def test_too_old_a_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.sys, "version_info", (3, 10, 2, "final", 0))
    with pytest.raises(run.SetupError, match=r"needs Python 3\.11 or newer, and this is Python 3\.10\.2"):
        run.check_python()


def test_a_full_disk_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(run.SetupError, match=r"3 GB free.* has 1\.0 GB") as caught:
        run.install("")
    assert caught.value.code == 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="system packages are named on Linux alone")
def test_missing_libraries_come_with_the_apt_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "QT_LIBRARIES", {"libnowhere.so.7": "libnowhere7", "libc.so.6": "libc6"})
    with pytest.raises(run.SetupError, match="apt-get install .* libnowhere7$"):
        run.check_system(with_screen=False)


def test_the_first_argument_decides_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    gone_to: list[list[str]] = []
    monkeypatch.setattr(run, "installed", lambda extra: True)
    monkeypatch.setattr(run, "check_system", lambda with_screen: None)
    monkeypatch.setattr(run.os, "chdir", lambda path: None)
    monkeypatch.setattr(run, "hand_over", lambda command: gone_to.append(command[1:]) or 0)
    monkeypatch.setenv("QT_QPA_PLATFORM", "")
    run.start(["test", "-k", "range"])
    run.start(["info", "a clip.mp4"])
    run.start([])
    main = str(run.ROOT / "main.py")
    assert gone_to == [["-m", "pytest", "-k", "range"], [main, "info", "a clip.mp4"], [main]]


def test_its_syntax_reaches_the_sentence_on_an_old_python() -> None:
    import ast

    # 3.7 is the oldest grammar that `ast` still tells apart; what follows it is refused by this parse.
    tree = ast.parse(Path(run.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
