"""Where the files that ship with the package are: in the source tree, or in `share` of an installed one."""
from __future__ import annotations

from pathlib import Path
from typing import List

PACKAGE = "siamese_emotion_ros"

#: What answers where nobody says otherwise, in the folder models.
DEFAULT_MODEL = "compact_fer2013.safetensors"
#: Its galleries, by the label set in the braces: seven, a or b.
DEFAULT_GALLERIES = "compact_fer2013_{}.gallery.safetensors"


def shipped_root() -> Path:
    """The folder that holds models/ and config/; FileNotFoundError when the package was installed without them."""
    module = Path(__file__).resolve().parent
    # An ament install puts this file in <prefix>/lib/pythonX.Y/site-packages/<package>; a source tree beside models/.
    candidates = [module.parent] + [parent / "share" / PACKAGE for parent in module.parents]
    for root in candidates:
        if (root / "models").is_dir() and (root / "config").is_dir():
            return root
    raise FileNotFoundError(
        f"no models/ and config/ near {module}: build the package with colcon, or pip install -e its source tree"
    )


def shipped_path(*parts: str) -> Path:
    """A shipped file or folder, such as shipped_path("models", DEFAULT_MODEL); it need not exist."""
    return shipped_root().joinpath(*parts)


def default_model() -> Path:
    """The model file that is used where nobody names one."""
    return shipped_path("models", DEFAULT_MODEL)


def default_gallery(label_set: str = "seven") -> Path:
    """The gallery file of the default model for a label set: seven, a or b."""
    return shipped_path("models", DEFAULT_GALLERIES.format(label_set))


def shipped_models() -> List[str]:
    """The folder of the models that come with the package, as a list for the parameter artifact_dirs."""
    try:
        return [str(shipped_path("models"))]
    except FileNotFoundError:
        return ["models"]  # configure will say that nothing is there
