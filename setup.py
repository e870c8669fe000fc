"""The pip face of the part that needs no ROS: `siamese_emotion_ros` as a library, and the `siamese-emotion` command.

colcon does not read this file: it knows the folder by its package.xml as a ROS package of type ament_cmake.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

PACKAGE = "siamese_emotion_ros"
ROOT = Path(__file__).resolve().parent

# Ranges say what works; the versions that scripts/setup takes are pinned in requirements/constraints.txt.
INSTALL_REQUIRES = [
    "numpy>=1.21,<3",
    # OpenCV 5 has no CascadeClassifier.
    "opencv-python-headless>=4.5,<5",
    "pyyaml>=5.3",
    "rich>=12",
    "safetensors>=0.3",
    "torch>=2.0",
    "typer>=0.9",
]
EXTRAS_REQUIRE = {
    # Face detector with landmarks. It has wheels for these interpreters only; OpenCV's own ones serve elsewhere.
    "faces": [
        "yuface>=2023.5.1; platform_machine == 'x86_64' and python_version >= '3.10' and python_version < '3.12'",
    ],
    "train": ["lightning>=2.1,<3", "scikit-learn>=1.0", "tensorboard>=2.10", "torchmetrics>=1.0,<2"],
    # Recordings of ROS 2 without ROS. For Python 3.8 and 3.9 there are older versions only, whose API is another.
    "bags": ["rosbags>=0.11,<0.12; python_version >= '3.10'"],
    "eval": ["jinja2>=3.0", "matplotlib>=3.5", "scikit-learn>=1.0"],
    "onnx": ["onnx>=1.15", "onnxruntime>=1.16"],
    # Galleries of more than about 50,000 anchors, and the measure of the exact search.
    "search": ["faiss-cpu>=1.7.4,<2"],
    "test": [
        "hypothesis>=6.80",
        "import-linter>=2.0",
        "mypy>=1.8",
        # The launch_testing plugin of a ROS installation breaks pytest 9.
        "pytest>=6.2,<9",
        "ruff>=0.4",
        # A face that may be given away, the astronaut, to find.
        "scikit-image>=0.19",
        "types-PyYAML>=6.0",
        # Finds what Python 3.8 does not have.
        "vermin>=1.6",
    ],
}


def version():
    """Return the version, which package.xml says."""
    return ElementTree.parse(str(ROOT / "package.xml")).findtext("version")


def long_description():
    """Return the README, for the index page."""
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


def shipped_files():
    """Return setuptools' data_files that put config/, models/ and msg/ where colcon puts them, into share/."""
    files = [path for top in ("config", "models", "msg") for path in sorted((ROOT / top).rglob("*")) if path.is_file()]
    return [
        (f"share/{PACKAGE}/{path.parent.relative_to(ROOT).as_posix()}", [path.relative_to(ROOT).as_posix()])
        for path in files
    ]


def compiled_search():
    """Return the search for the nearest anchors as an extension; without a compiler it is left out, and slower."""
    from setuptools import Extension

    # Where scripts/setup had to bring Python's headers itself.
    headers = Path(sys.prefix) / "include" / "python{}.{}".format(*sys.version_info)
    return Extension(
        f"{PACKAGE}.recognition._nearest", ["src/nearest.c"], include_dirs=[str(headers)] if headers.exists() else [],
        libraries=["m"], extra_compile_args=["-O3"], optional=True,
    )


if __name__ == "__main__":
    from setuptools import find_packages, setup

    setup(
        name=PACKAGE,
        version=version(),
        description="Facial emotions for robots: a siamese network, a gallery of anchors, a nearest-neighbour vote",
        long_description=long_description(),
        long_description_content_type="text/markdown",
        license="Apache-2.0",
        python_requires=">=3.8",
        packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"], exclude=[f"{PACKAGE}.nodes", f"{PACKAGE}.nodes.*"]),
        data_files=shipped_files(),
        ext_modules=[compiled_search()],
        zip_safe=False,
        install_requires=INSTALL_REQUIRES,
        extras_require=EXTRAS_REQUIRE,
        entry_points={"console_scripts": ["siamese-emotion = siamese_emotion_ros.cli.main:main"]},
    )
