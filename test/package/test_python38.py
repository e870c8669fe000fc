"""Everything runs on Python 3.8, which the robots of the Jetson Xavier generation have."""
import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUILT_IN_GENERICS = {"dict", "frozenset", "list", "set", "tuple", "type"}


def python_files(source):
    """Every Python file that a robot runs."""
    folders = [source / name for name in ("siamese_emotion_ros", "launch")]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [source / "setup.py", source / "scripts" / "setup", source / "scripts" / "clip", *files]


def python38():
    """The path of a Python 3.8 that starts, or None."""
    places = [shutil.which("python3.8"), *sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))]
    for place in filter(None, places):
        # A pyenv shim is there for every version and starts only for the chosen one.
        if subprocess.run([str(place), "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:
            return str(place)
    return None


def test_source_needs_nothing_newer_than_python38(source):
    pytest.importorskip("vermin", reason="vermin is not installed; `make test` installs it")
    command = [sys.executable, "-c", "import vermin; vermin.main()", "-t=3.8-", "--no-tips", "--violations"]
    result = subprocess.run(
        [*command, *map(str, python_files(source))], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert result.returncode == 0, result.stdout


def test_source_compiles_in_python38(source):
    interpreter = python38()
    if interpreter is None:
        pytest.skip("no Python 3.8 on this machine")
    program = "import sys\nfor path in sys.argv[1:]:\n    compile(open(path, encoding='utf-8').read(), path, 'exec')\n"
    result = subprocess.run(
        [interpreter, "-c", program, *map(str, python_files(source))],
        # The guard of the ROS 2 wheels and the paths of this interpreter's packages are none of that one's business.
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def newer_annotations(tree):
    """The annotations in a module that Python 3.8 cannot evaluate, as (line, source)."""
    annotations = [node.annotation for node in ast.walk(tree) if isinstance(node, (ast.arg, ast.AnnAssign))]
    annotations += [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for annotation in filter(None, annotations):
        for node in ast.walk(annotation):
            union = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
            generic = isinstance(node, ast.Subscript) and getattr(node.value, "id", None) in BUILT_IN_GENERICS
            if union or generic:
                yield node.lineno, ast.dump(node)


def test_the_command_lines_annotations_can_be_evaluated(source):
    """typer evaluates the annotations of a command, so `from __future__ import annotations` is no help there."""
    found = [
        f"{path.name}:{line}: {text}"
        for path in sorted((source / "siamese_emotion_ros" / "cli").rglob("*.py"))
        for line, text in newer_annotations(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
