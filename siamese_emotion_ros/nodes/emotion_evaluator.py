"""emotion_evaluator: holds `emotion` against a truth while both flow, and reports when asked and at the end."""
from __future__ import annotations

import math
import os
import sys
from typing import Any, Dict, List, Optional

from std_msgs.msg import String
from std_srvs.srv import Trigger

from siamese_emotion_ros.evaluation.bag_truth import read_intervals
from siamese_emotion_ros.evaluation.live import LiveEvaluation
from siamese_emotion_ros.evaluation.report import write_report
from siamese_emotion_ros.faces.geometry import Box
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from siamese_emotion_ros.nodes.conversions import nanoseconds
from siamese_emotion_ros.nodes.folders import place_of
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, REFUSALS, StreamNode
from siamese_emotion_ros.nodes.parameters import START, UNCONFIGURED, Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import SERVICE_QOS, result_qos
from siamese_emotion_ros.recognition.emotions import UNKNOWN

#: The file in output_dir.
REPORT = "emotion_evaluation.json"

PARAMETERS = ParameterTable("emotion_evaluator", [
    Spec("truth_type", "string",
         "Type of the topic `truth`: string (std_msgs/String, holds until the next one) or emotion (EmotionStamped).",
         choices=("string", "emotion"), changes=UNCONFIGURED),
    Spec("truth_file", "", "CSV file with start,end,label[,face_id] instead of the topic; times from the first image.",
         changes=START),
    Spec("output_dir", "", f"Folder that {REPORT} is written to; empty is nowhere.", changes=START),
    AUTOSTART,
])


class EmotionEvaluator(StreamNode):
    """Subscribes `emotion` and `truth`; ~/report and ~/reset answer at any time while the node is configured."""

    def __init__(self, **kwargs: Any) -> None:
        self._evaluation: Optional[LiveEvaluation] = None
        self._heard: List[Any] = []
        super().__init__(PARAMETERS, **kwargs)
        self.create_service(Trigger, "~/report", self._on_report, qos_profile=SERVICE_QOS)
        self.create_service(Trigger, "~/reset", self._on_reset, qos_profile=SERVICE_QOS)

    def load(self, settings: Any) -> None:
        """Look at the file with the truth and the folder for the report."""
        truth_file = place_of(settings.truth_file) if settings.truth_file else None
        if truth_file is not None:
            if not truth_file.is_file():
                raise ValueError(f"truth_file is {settings.truth_file!r}: no such file")
            read_intervals(truth_file, 0)
        folder = place_of(settings.output_dir)
        if settings.output_dir and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise ValueError(f"output_dir is {settings.output_dir!r}: expected a folder that can be written to")
        self._evaluation = LiveEvaluation(truth_file)

    def start(self) -> None:
        """Listen. What was heard before a deactivation still counts."""
        settings = self.settings
        self.statistics.idle_reason = "no emotion comes: nobody is in view, or nobody looks"
        # Every answer counts, so nothing is thinned: the callbacks only append.
        self._heard = [self.subscription(EmotionStamped, "emotion", result_qos(depth=1000), self._hear)]
        if settings.truth_file:
            # Times count from the first image, which need not show a face; `faces` tells of every one.
            self._heard.append(self.subscription(FaceCropArray, "faces", result_qos(depth=1000), self._hear_image))
            return
        if settings.truth_type == "emotion":
            listen = self.subscription(EmotionStamped, "truth", result_qos(depth=1000), self._hear_truth)
        else:
            listen = self.subscription(String, "truth", result_qos(depth=1000), self._hear_label)
        self._heard.append(listen)

    def stop(self) -> None:
        """Listen no more, and report."""
        if not self._heard:
            return
        for subscription in self._heard:
            self.unsubscribe(subscription)
        self._heard = []
        if len(self._evaluation):
            try:
                self.get_logger().info(self._report())
            except REFUSALS as error:  # the truth_file, too, may not be what it was
                self.get_logger().error(f"there is no report: {error}")

    def unload(self) -> None:
        """Forget everything."""
        self._evaluation = None

    def change(self, change: Change) -> None:
        """Nothing here changes while the node is configured."""

    def facts(self) -> Dict[str, Any]:
        """How many answers were heard."""
        return {"answers": len(self._evaluation)} if self._evaluation is not None else {}

    # --- what is heard ---

    def _hear(self, message: EmotionStamped) -> None:
        self.statistics.received()
        shares = dict(zip(message.classes, message.class_scores))
        known = message.label in shares or (message.label == UNKNOWN and shares)
        if not (known and math.isfinite(message.confidence)):
            self.refuse_message(ValueError(
                f"an answer says {message.label[:40]!r} of {', '.join(shares)[:80] or 'no classes'} with confidence "
                f"{message.confidence:g}: left out"
            ))
            return
        latency = nanoseconds(message.latency)
        self._evaluation.add_answer(
            nanoseconds(message.header.stamp), message.face_id, _box(message.roi), message.label, message.confidence,
            shares, latency, (message.model_id, message.gallery_id),
        )
        self.statistics.published(latency)

    def _hear_image(self, message: FaceCropArray) -> None:
        self._evaluation.add_image(nanoseconds(message.header.stamp))

    def _hear_truth(self, message: EmotionStamped) -> None:
        self._evaluation.add_truth(nanoseconds(message.header.stamp), _box(message.roi), message.label)

    def _hear_label(self, message: String) -> None:
        # It has no stamp: said now, which with use_sim_time is the time of the recording.
        self._evaluation.add_label(self.get_clock().now().nanoseconds, message.data)

    # --- what is said ---

    def _report(self) -> str:
        """Write the report, and say in a line what is in it."""
        report = self._evaluation.report()
        if self.settings is not None and self.settings.output_dir:
            write_report(place_of(self.settings.output_dir) / REPORT, report)
        if not report["n"]:
            return f"{report['answers']} answers, none of them with a truth of its time"
        p50 = report["latency_ms"]["p50"]
        return (
            f"{report['n']} of {report['answers']} answers have a truth: top-1 {report['top1']:.1%}, macro F1 "
            f"{report['macro_f1']:.1%}, unknown {report['unknown_rate']:.1%}; latency {p50:.0f} ms; "
            f"{report['rounds']} round(s)"
        )

    def _on_report(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if self._evaluation is None:
                raise ValueError("the node is unconfigured: nothing was heard")
            response.message = self._report()
            response.success = True
        except REFUSALS as error:
            response.message = str(error)
        return response

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._evaluation is None:
            response.message = "the node is unconfigured: there is nothing to forget"
            return response
        response.success, response.message = True, f"{len(self._evaluation)} answers are forgotten"
        self._evaluation.reset()
        return response


def _box(roi: Any) -> Box:
    return Box(float(roi.x_offset), float(roi.y_offset), float(roi.width), float(roi.height))


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([EmotionEvaluator], args)


if __name__ == "__main__":
    sys.exit(main())
