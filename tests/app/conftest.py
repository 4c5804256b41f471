"""Small synthetic media and the fakes that stand in for the networks."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of the unforeseen goes here, never to the user's own place."""
    folder = tmp_path / "log"
    monkeypatch.setenv("HUECAST_LOG", str(folder))
    return folder
