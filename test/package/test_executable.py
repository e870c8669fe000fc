"""What is installed as each executable, with a module in place of a node's."""
import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parents[2] / "cmake" / "executable.py.in"

NODE = """
import os, signal, time

try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    pass  # as happens inside of some imports

def main():
    print("runs")
    return 3
"""


def run(folder, node):
    """Whatever becomes of the template with `node` as the source of its module."""
    package = folder / "siamese_emotion_ros" / "nodes"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "some_node.py").write_text(node)
    text = TEMPLATE.read_text().replace("@executable@", "some_node").split("\n", 1)[1]
    (folder / "run.py").write_text(text)
    return subprocess.run([sys.executable, str(folder / "run.py")], capture_output=True, text=True, timeout=60)


def test_the_status_of_main_is_the_status_of_the_process(tmp_path):
    process = run(tmp_path, "def main():\n    return 3\n")
    assert (process.returncode, process.stderr) == (3, "")


def test_ctrl_c_during_the_imports_ends_the_process_at_once_and_without_a_word(tmp_path):
    process = run(tmp_path, NODE)
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "")


def test_ctrl_c_in_main_is_python_s_own_affair_again(tmp_path):
    process = run(tmp_path, "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGINT)\n    return 3\n")
    assert (process.returncode, process.stderr) == (130, "")
