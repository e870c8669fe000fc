"""The source tree is clean by ruff, mypy and import-linter, as pyproject.toml sets them."""
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("ruff", ["-m", "ruff", "check", "--no-cache", "."]),
        ("mypy", ["-m", "mypy"]),
        ("importlinter", ["-c", "import sys, importlinter.cli as c; sys.exit(c.lint_imports_command(['--no-cache']))"]),
    ],
    ids=["ruff", "mypy", "import-linter"],
)
def test_source_is_clean(source, module, command):
    pytest.importorskip(module, reason=f"{module} is not installed; `make test` installs it")
    # import-linter reads the package from the path; the installed one may come first there.
    environment = {**os.environ, "PYTHONPATH": str(source)}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=source,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
