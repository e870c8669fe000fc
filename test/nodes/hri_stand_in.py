"""A stand-in for hri_msgs, built here: the messages that hri_mirror publishes, with the fields of hri_msgs 2.0."""
import ctypes
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

MESSAGES = {
    "IdsList": "std_msgs/Header header\nstring[] ids\n",
    "NormalizedRegionOfInterest2D": (
        "std_msgs/Header header\nfloat32 xmin\nfloat32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c\n"
    ),
    "Expression": "std_msgs/Header header\n" + "".join(
        f'string {word.upper()}="{word}"\n'
        for word in ("neutral", "angry", "sad", "happy", "surprised", "disgusted", "scared")
    ) + "string expression\nfloat32 valence\nfloat32 arousal\nfloat32 confidence\n",
}

MANIFEST = """<?xml version="1.0"?>
<package format="3">
  <name>hri_msgs</name>
  <version>0.0.0</version>
  <description>Stand-in for a test</description>
  <maintainer email="nobody@nowhere.invalid">nobody</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""

LISTS = """cmake_minimum_required(VERSION 3.22)
project(hri_msgs)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
rosidl_generate_interfaces(${PROJECT_NAME} %s DEPENDENCIES std_msgs)
ament_package()
"""


def obstacle():
    """Why nothing can be built here; empty when it can."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    if not shutil.which("cmake") or not shutil.which("c++"):
        return "neither hri_msgs nor what builds a stand-in for it (cmake, c++) is installed"
    try:
        get_package_prefix("rosidl_default_generators")
    except PackageNotFoundError:
        return "neither hri_msgs nor rosidl_default_generators, for a stand-in, is installed"
    return ""


def build(folder):
    """Build the package in `folder` and have this process find it."""
    source, prefix = folder / "source", folder / "install"
    (source / "msg").mkdir(parents=True)
    for name, text in MESSAGES.items():
        (source / "msg" / f"{name}.msg").write_text(text)
    (source / "package.xml").write_text(MANIFEST)
    (source / "CMakeLists.txt").write_text(LISTS % " ".join(f"msg/{name}.msg" for name in MESSAGES))
    configure = [
        "cmake", "-S", str(source), "-B", str(folder / "build"), "-Wno-dev", f"-DCMAKE_INSTALL_PREFIX={prefix}",
        f"-DPython3_EXECUTABLE={sys.executable}", "-DBUILD_TESTING=OFF",
    ]
    # Only where scripts/setup had to bring Python's headers itself.
    headers = Path(sys.prefix, "include", f"python{sysconfig.get_python_version()}")
    if (headers / "Python.h").is_file():
        configure.append(f"-DPython3_INCLUDE_DIR={headers}")
    for command in (configure, ["cmake", "--build", str(folder / "build"), "--target", "install"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
    load(prefix)


def load(prefix):
    """What sourcing the workspace would have done before this process began: find the modules and their libraries."""
    waiting, failed = sorted((prefix / "lib").glob("*.so")), None
    while waiting:  # each needs others of them
        assert waiting != failed, f"{waiting} cannot be loaded"
        failed, waiting = waiting, [library for library in waiting if not loaded(library)]
    (package,) = prefix.glob("**/hri_msgs/__init__.py")
    sys.path.append(str(package.parent.parent))
    importlib.invalidate_caches()
    assert importlib.util.find_spec("hri_msgs")


def loaded(library):
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
