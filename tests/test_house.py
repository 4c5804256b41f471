"""Holds the arrows between the floors and the house's bans; function-level imports count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("app", "propagation", "kernels")
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for place in (*FLOORS, "main.py", "run.py")
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
)

# What a floor may not import: an arrow upward.
UPWARD = {
    "kernels": {"propagation", "app", "main", "run"},
    "propagation": {"app", "main", "run"},
    "app": {"main", "run"},
}
# A module and the only places that may import it.
ONLY_IN = {
    "PySide6": ("app/ui/",),
    "shiboken6": ("app/ui/",),
    "av": ("propagation/video/",),
    "cupy": ("kernels/",),
    "click": ("app/cli/",),
    "rich": ("app/cli/",),
    # video/probe.py starts sys.executable alone, to look at an unknown file in a process of its own.
    "subprocess": ("run.py", "propagation/video/probe.py"),
    "pickle": (),
    "dill": (),
    "joblib": (),
    "shelve": (),
    "marshal": (),
}
# kernels/ knows arrays, not pictures or video.
NOT_IN_KERNELS = {"cv2", "av", "PIL", "skimage"}
BANNED_CALLS = {"torch.load", "os.system", "os.popen", "eval", "exec"}
BANNED_METHODS = {"extractall", "imwrite", "save_file", "savez", "savez_compressed", "tofile"}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "new", "v2"}
# Files that write by themselves, each with its reason. Everything else goes through propagation/atomic.py.
WRITERS = {
    "propagation/atomic.py": "it is the writer",
    "app/project/lock.py": "a lock is no document, and is made by O_EXCL or not at all",
    "propagation/training/loop.py": "the log of a run grows line by line",
    "run.py": "the stamp in .venv; nothing of the project is installed when it runs",
}


def tree_of(source: str) -> ast.Module:
    return ast.parse((ROOT / source).read_text(encoding="utf-8"), source)


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module an import statement names, wherever it stands, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("importlib.import_module", "__import__", "import_module"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, node.lineno


def called(node: ast.Call) -> str:
    """The dotted name that a call is made through, or an empty string."""
    parts: list[str] = []
    target: ast.expr = node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    if not isinstance(target, ast.Name):
        return ""
    return ".".join([target.id, *reversed(parts)])


def method(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def wrong_imports(source: str, tree: ast.AST) -> list[str]:
    floor = source.split("/")[0]
    found = []
    for module, line in imported_modules(tree):
        top = module.split(".")[0]
        places = ONLY_IN.get(top)
        if top in UPWARD.get(floor, ()):
            found.append(f"{source}:{line} imports {module}: an arrow upward")
        if places is not None and not source.startswith(places or ("nowhere",)):
            found.append(f"{source}:{line} imports {module}: allowed in {', '.join(places) or 'no file'} alone")
        if floor == "kernels" and top in NOT_IN_KERNELS:
            found.append(f"{source}:{line} imports {module}: kernels know arrays, not pictures")
        if module.startswith("app.ui") and not source.startswith("app/ui/") and source != "main.py":
            found.append(f"{source}:{line} imports {module}: the window is opened by main.py alone")
    return found


def writes(node: ast.Call) -> bool:
    """Whether a call opens a file for writing or replaces one."""
    name = called(node)
    if name in ("open", "os.fdopen") or method(node) == "open":
        position = 1 if name in ("open", "os.fdopen") else 0
        modes = [node.args[position]] if len(node.args) > position else []
        modes += [word.value for word in node.keywords if word.arg == "mode"]
        return any(isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in modes)
    return method(node) in ("write_text", "write_bytes") or name in ("os.replace", "os.rename", "shutil.move")


def lines_under_atomic_write(tree: ast.AST) -> set[int]:
    """Lines inside a `with atomic_write(...)`, which hands out the temporary file to fill."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            opened = [item.context_expr for item in node.items]
            if any(isinstance(each, ast.Call) and called(each).endswith("atomic_write") for each in opened):
                lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def forbidden_calls(source: str, tree: ast.AST) -> list[str]:
    found = []
    guarded = lines_under_atomic_write(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        if name in BANNED_CALLS or method(node) in BANNED_METHODS:
            found.append(f"{source}:{node.lineno} calls {name or method(node)}")
        if writes(node) and source not in WRITERS and node.lineno not in guarded and name != "av.open":
            found.append(f"{source}:{node.lineno} writes a file itself ({name or method(node)}), not through atomic.py")
        keywords = {word.arg: word.value for word in node.keywords}
        for banned in ("shell", "allow_pickle"):
            value = keywords.get(banned)
            if isinstance(value, ast.Constant) and value.value is True:
                found.append(f"{source}:{node.lineno} passes {banned}=True")
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_floors_and_bans(source: str) -> None:
    tree = tree_of(source)
    assert not wrong_imports(source, tree) + forbidden_calls(source, tree)


@pytest.mark.parametrize("source", SOURCES)
def test_file_has_a_name_a_docstring_and_a_readable_length(source: str) -> None:
    text = (ROOT / source).read_text(encoding="utf-8")
    assert not set(PurePosixPath(source).stem.split("_")) & EMPTY_NAMES
    assert not text.strip() or ast.get_docstring(tree_of(source)), "a file says in a sentence what it is about"
    assert text.count("\n") <= 500, "past 500 lines something wants to be split off by noun"


@pytest.mark.parametrize("source", SOURCES)
def test_no_bare_except(source: str) -> None:
    bare = [node.lineno for node in ast.walk(tree_of(source)) if isinstance(node, ast.ExceptHandler) and not node.type]
    assert not bare


@pytest.mark.parametrize("source", [name for name in SOURCES if name.startswith("kernels/")])
def test_kernels_import_on_a_machine_without_cupy(source: str) -> None:
    top_level = [node for node in tree_of(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [module for node in top_level for module, _ in imported_modules(node) if module.split(".")[0] == "cupy"]


def test_run_needs_the_standard_library_alone() -> None:
    import sys

    modules = {module.split(".")[0] for module, _ in imported_modules(tree_of("run.py"))}
    assert modules <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("kernels/x.py", "def f():\n    import app.jobs"),
        ("propagation/x.py", "from app import jobs"),
        ("app/jobs.py", "from PySide6 import QtCore"),
        ("app/jobs.py", "from app.ui import window"),
        ("propagation/spn.py", "def f():\n    import av"),
        ("app/x.py", "import subprocess"),
        ("kernels/x.py", "import cv2"),
    ],
)
def test_the_rules_catch_a_wrong_import(source: str, code: str) -> None:
    assert wrong_imports(source, ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "torch.load('x')",
        "eval('1')",
        "os.system('ls')",
        "archive.extractall()",
        "open('x', 'w')",
        "path.open('wb')",
        "path.write_text('x')",
        "cv2.imwrite('x', y)",
        "run(x, shell=True)",
        "np.load(x, allow_pickle=True)",
    ],
)
def test_the_rules_catch_a_forbidden_call(code: str) -> None:
    assert forbidden_calls("app/x.py", ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "open('x')\npath.open('rb')\npath.read_text()",
        "with atomic_write(path) as temporary:\n    temporary.write_bytes(data)",
    ],
)
def test_the_rules_let_right_code_pass(code: str) -> None:
    assert not forbidden_calls("app/x.py", ast.parse(code))
