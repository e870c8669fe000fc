"""emotion_pipeline: face_crop, siamese_emotion and emotion_overlay in one process, with the same topics."""
from __future__ import annotations

import argparse
import sys
from typing import Callable, List, Optional

from rclpy.utilities import remove_ros_args

from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.lifecycle import StreamNode
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion


def main(args: Optional[List[str]] = None) -> int:
    """Run the three nodes."""
    arguments = sys.argv if args is None else args
    parser = argparse.ArgumentParser(prog="emotion_pipeline", description=__doc__)
    parser.add_argument("--no-overlay", action="store_true", help="leave emotion_overlay out")
    options = parser.parse_args(remove_ros_args(arguments)[1:])
    factories: List[Callable[[], StreamNode]] = [FaceCrop, SiameseEmotion]
    if not options.no_overlay:
        factories.append(EmotionOverlay)
    return run(factories, arguments)


if __name__ == "__main__":
    sys.exit(main())
