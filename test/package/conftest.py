"""The source tree, and the programs of scripts/ as modules."""
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]


@pytest.fixture
def source():
    """The root of the source tree."""
    return SOURCE


def load_script(name):
    """A program of scripts/, which has no .py at its end, as a fresh module."""
    loader = SourceFileLoader(f"script_{name}", str(SOURCE / "scripts" / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def setup_script(tmp_path, monkeypatch):
    """scripts/setup, with its .venv in a folder of the test's."""
    module = load_script("setup")
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "VENV_PYTHON", tmp_path / ".venv" / "bin" / "python3")
    return module


@pytest.fixture
def clip_script(tmp_path, monkeypatch):
    """scripts/clip, with its cache in a folder of the test's."""
    module = load_script("clip")
    monkeypatch.setattr(module, "CACHE", tmp_path / "clips")
    return module
