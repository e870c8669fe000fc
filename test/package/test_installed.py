"""The installed tree holds what it promises: executables that start, and every file of launch/, config/ and models/."""
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "siamese_emotion_ros"


@pytest.fixture(scope="module")
def prefix():
    """Where colcon installed the package."""
    packages = pytest.importorskip("ament_index_python.packages", reason="needs a sourced ROS 2")
    try:
        return Path(packages.get_package_prefix(PACKAGE))
    except packages.PackageNotFoundError:
        pytest.skip("the package is not installed; `make test` installs it")


def test_every_executable_has_a_main(prefix):
    executables = [path.name for path in (prefix / "lib" / PACKAGE).iterdir()]
    assert executables
    for name in executables:
        assert callable(importlib.import_module(f"{PACKAGE}.nodes.{name}").main), name


def test_every_main_is_installed(prefix, source):
    nodes = sorted((source / PACKAGE / "nodes").glob("*.py"))
    mains = {path.stem for path in nodes if "\ndef main(" in path.read_text(encoding="utf-8")}
    assert mains == {path.name for path in (prefix / "lib" / PACKAGE).iterdir()}


def test_executables_run_with_the_interpreter_that_has_the_dependencies(prefix):
    interpreters = set()
    for path in (prefix / "lib" / PACKAGE).iterdir():
        assert os.access(path, os.X_OK), path
        interpreters.add(path.read_text(encoding="utf-8").splitlines()[0][len("#!") :])
    for interpreter in interpreters:
        assert subprocess.run([interpreter, "-c", "import torch, cv2, rclpy"]).returncode == 0, interpreter


def test_the_search_for_the_nearest_anchors_is_compiled(prefix):
    neighbors = importlib.import_module(f"{PACKAGE}.recognition.neighbors")
    assert neighbors.COMPILED is not None
    assert list(prefix.glob(f"lib/python3*/*-packages/{PACKAGE}/recognition/_nearest.*.so"))


@pytest.mark.parametrize("folder", ["config", "launch", "models"])
def test_every_file_is_installed(prefix, source, folder):
    def files(root):
        files_below = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(root).as_posix() for path in files_below}

    assert files(source / folder)
    assert files(prefix / "share" / PACKAGE / folder) == files(source / folder)


def test_the_command_line_starts_without_a_sourced_environment(source):
    command = source / ".venv" / "bin" / "siamese-emotion"
    if not command.exists():
        command = Path(sys.executable).parent / "siamese-emotion"
    if not command.exists():
        pytest.skip("the pip face of the package is not installed; `make test` installs it")
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    result = subprocess.run([str(command), "--help"], env=environment, stdout=subprocess.PIPE, text=True, cwd="/")
    assert result.returncode == 0
    assert "evaluate" in result.stdout
