"""siamese_emotion: faces in, one EmotionStamped for each of them out, with the model and gallery of the moment."""
from __future__ import annotations

import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch

from siamese_emotion_ros.faces.continuity import Continuity
from siamese_emotion_ros.faces.image_messages import ImageError, image_from_message
from siamese_emotion_ros.msg import EmotionStamped, FaceCrop, FaceCropArray
from siamese_emotion_ros.nodes.collection import CropCollector
from siamese_emotion_ros.nodes.conversions import duration_message, emotion_message, nanoseconds
from siamese_emotion_ros.nodes.enrolment import EnrolmentServices
from siamese_emotion_ros.nodes.lifecycle import AUTOSTART, Stream, StreamNode
from siamese_emotion_ros.nodes.parameters import START, UNCONFIGURED, Change, ParameterTable, Spec
from siamese_emotion_ros.nodes.process import run
from siamese_emotion_ros.nodes.qos import emotion_qos, result_qos
from siamese_emotion_ros.nodes.snapshots import OnDisk, Snapshot, build_snapshot
from siamese_emotion_ros.recognition.approximate import SEARCHES
from siamese_emotion_ros.recognition.enrolment import Criteria
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import BACKENDS, choose_device
from siamese_emotion_ros.shipped import DEFAULT_GALLERIES, DEFAULT_MODEL, shipped_models

PARAMETERS = ParameterTable("siamese_emotion", [
    Spec("model_path", DEFAULT_MODEL,
         "Model file, absolute or relative to one of artifact_dirs; setting it, even to the same, reads it again."),
    Spec("gallery_path", DEFAULT_GALLERIES.format("seven"),
         "Gallery file, likewise; one made for another model and without images is refused: set both at once."),
    Spec("k", 0, "Anchors that vote; 0 is the gallery's own number.", low=0, high=10000),
    Spec("distance_threshold", 0.0,
         "A face whose nearest anchor is farther than this is unknown; 0.0 is the gallery's own threshold, .inf never.",
         low=0.0, high=float("inf"), shown="`0.0`"),
    Spec("search", "exact",
         "How the nearest anchors are found: exact measures all (5 ms a face at 250,000); ivf and hnsw, which need "
         "faiss, are faster and miss a few.", choices=SEARCHES),
    Spec("smoothing.window", 1, "Frames over which the vote of each face is averaged; 1 is off.", low=1, high=300),
    Spec("smoothing.hysteresis", 0.0,
         "Share of the vote by which another emotion has to lead before the label of a face changes.",
         low=0.0, high=1.0),
    Spec("device", "auto", "Where the network runs: auto (cuda where there is one), cpu, cuda or cuda:<number>.",
         changes=UNCONFIGURED, check=choose_device),
    Spec("precision", "fp32", "Arithmetic of the network; one of integers (compact_int8) keeps to those.",
         choices=("fp32", "fp16"), changes=UNCONFIGURED),
    Spec("backend", "auto", "What computes embeddings; auto is ONNX Runtime where installed, on a CPU, else torch.",
         choices=BACKENDS, changes=UNCONFIGURED),
    Spec("threads", 1, "CPU threads that the network may use in this process.", low=1, high=64, changes=UNCONFIGURED),
    Spec("artifact_dirs", shipped_models,
         "Folders that model and gallery may come from, instead of the package's own; links and `..` are followed "
         "before the check.",
         changes=START, shown="the package's `models`"),
    Spec("gallery_dir", "", "Folder that ~/save_gallery writes to and gallery_path may come from; empty is nowhere.",
         changes=START),
    Spec("enrolment.min_score", Criteria.min_score, "Faces of which the detector is less sure become no anchors.",
         low=0.0, high=1.0),
    Spec("enrolment.min_focus", Criteria.min_focus,
         "Faces that are less sharp become no anchors; 0.0 takes blurred ones too.", low=0.0, high=10.0),
    Spec("enrolment.agreement", Criteria.agreement,
         "Faces this many times as far from the middle one as is usual among them become no anchors.",
         low=1.0, high=100.0),
    AUTOSTART,
])


class SiameseEmotion(StreamNode):
    """Subscribes `faces`, publishes `emotion`; ~/add_anchors and its like change the gallery."""

    def __init__(self, **kwargs: Any) -> None:
        self._snapshot: Optional[Snapshot] = None
        self._swapping = threading.Lock()  # one swap at a time, whoever asks; frames never wait for it
        self._publisher: Any = None
        self._faces: Optional[Stream] = None
        self._threads = 1
        self._continuity = Continuity()
        #: Time jumped back, and what the snapshot knows of people has not been forgotten yet.
        self._people_outdated = False
        super().__init__(PARAMETERS, **kwargs)
        self._inactive = f"the node is not active: ros2 lifecycle set {self.get_fully_qualified_name()} activate"
        self._crops = CropCollector(self._inactive)
        self._enrolment = EnrolmentServices(self, self._crops)

    def load(self, settings: Any) -> None:
        """Read and warm model and gallery."""
        self._threads = settings.threads
        self._limit_threads()
        with self._swapping:
            self._snapshot = build_snapshot(settings)
            self._log_snapshot("answers with", self._snapshot)
        self._publisher = self.publisher(EmotionStamped, "emotion", emotion_qos())

    def start(self) -> None:
        """Subscribe to the faces."""
        self._continuity = Continuity()
        self._people_outdated = False
        self._faces = Stream(self, FaceCropArray, "faces", result_qos(), self._answer, begin=self._limit_threads)
        self._faces.open()
        self._crops.open()

    def stop(self) -> None:
        """Answer the frame in work and no more."""
        self._crops.close(self._inactive)
        if self._faces is not None:
            self._faces.stop()
            self._faces = None

    def unload(self) -> None:
        """Free model and gallery."""
        with self._swapping:
            self._warn_of_what_is_gone(self._snapshot)
            self._snapshot = None

    def stop_waiting(self) -> None:
        """Have ~/add_anchors and ~/calibrate_neutral answer."""
        self._crops.close("the node ends")

    def change(self, change: Change) -> None:
        """Build a whole new snapshot while frames flow, then put it in place of the old one."""
        started = time.monotonic()
        with self._swapping:
            before = self._snapshot
            snapshot = self._snapshot = build_snapshot(change.settings, change.names, before)
        if "gallery_path" in change.names:
            self._warn_of_what_is_gone(before)
        if snapshot is not before:
            self._log_snapshot(f"after {time.monotonic() - started:.2f} s answers with", snapshot)

    def _limit_threads(self) -> None:
        """Have torch use as many CPU threads as `threads` says; it keeps that for each thread that embeds faces."""
        torch.set_num_threads(self._threads)

    def _warn_of_what_is_gone(self, snapshot: Optional[Snapshot]) -> None:
        if snapshot is not None and snapshot.changed:
            self.get_logger().warning("what was enrolled since the gallery was read or saved is gone")

    def snapshot(self) -> Snapshot:
        """What answers now; ValueError while the node is unconfigured."""
        snapshot = self._snapshot
        if snapshot is None or self.settings is None:
            if self.statistics.state == "finalized":
                raise ValueError("the node has been shut down for good: start it again")
            raise ValueError(
                f"the node has no gallery: configure it first (ros2 lifecycle set {self.get_fully_qualified_name()} "
                "configure)"
            )
        return snapshot

    def swap(self, make: Callable[[Snapshot], Snapshot]) -> Snapshot:
        """Put what `make` makes of the present snapshot in its place; when it raises, nothing has changed."""
        self._limit_threads()
        with self._swapping:
            snapshot = self._snapshot = make(self.snapshot())
        self._log_snapshot("now answers with", snapshot)
        return snapshot

    def mark_saved(self, gallery: Gallery) -> None:
        """The gallery is in a file now; when it was replaced meanwhile, that changes nothing."""
        with self._swapping:
            if self._snapshot is not None and self._snapshot.recognizer.gallery is gallery:
                self._snapshot = self._snapshot._replace(gallery=gallery, on_disk=OnDisk.of(gallery))

    def facts(self) -> Dict[str, Any]:
        """Which model and gallery answer, and where."""
        snapshot = self._snapshot
        if snapshot is None:
            return {}
        recognizer, (model_id, gallery_id, version) = snapshot.recognizer, snapshot.ids
        return {
            "model": model_id, "gallery": gallery_id, "gallery version": version, "anchors": len(recognizer.gallery),
            "k": recognizer.k, "distance threshold": f"{recognizer.threshold:g}",
            "search": f"{recognizer.settings.search}, recall {recognizer.recall:.1%}",
            "device": f"{recognizer.model.device}, {recognizer.model.precision}, {recognizer.model.backend}",
        }

    def _answer(self, faces: FaceCropArray) -> None:
        """One batch for all faces of a frame, by one snapshot."""
        broken = self._continuity.broken(nanoseconds(faces.header.stamp))
        if broken is not None:
            self.log_throttled(f"{broken}: every face is a new one")
            self._people_outdated = True
        snapshot = self._without_people() if self._people_outdated else self._snapshot
        if not faces.faces:
            return
        readable, crops = self._readable(faces)
        recognitions = snapshot.recognize([face.face_id for face in readable], crops)
        stamp = nanoseconds(faces.header.stamp)
        for face, recognition in zip(readable, recognitions):
            message = emotion_message(faces, face, recognition, snapshot.recognizer.classes, snapshot.ids)
            message.personal_offset = snapshot.neutrals.distance(face.face_id)
            latency = self.get_clock().now().nanoseconds - stamp
            message.latency = duration_message(latency)
            self._publisher.publish(message)
            self.statistics.published(latency)
        self._crops.offer(readable, crops, alone=len(faces.faces) == 1)

    def _readable(self, faces: FaceCropArray) -> Tuple[List[FaceCrop], List[np.ndarray]]:
        """The faces whose crops can be read, and those; a line in the log of each of the others, ImageError for all."""
        readable, crops = [], []
        for face in faces.faces:
            try:
                crops.append(image_from_message(face.crop))
                readable.append(face)
            except ImageError as error:
                refusal = ImageError(f"the crop of face {face.face_id}: {error}")
                if len(faces.faces) == 1:
                    raise refusal from error
                self.stream_failed(refusal)
        if not readable:
            raise ImageError(f"none of the crops of {len(faces.faces)} faces can be read")
        return readable, crops

    def _without_people(self) -> Snapshot:
        """The present snapshot without what it knows of people; it stays the present one unless a swap is under way."""
        if not self._swapping.acquire(blocking=False):
            return self._snapshot.without_people()
        try:
            self._snapshot = self._snapshot.without_people()
            self._people_outdated = False
            return self._snapshot
        finally:
            self._swapping.release()

    def _log_snapshot(self, doing: str, snapshot: Snapshot) -> None:
        recognizer = snapshot.recognizer
        model_id, gallery_id, version = snapshot.ids
        search, recall = recognizer.settings.search, f"{recognizer.recall:.1%}"
        searched = "" if search == "exact" else f"; {search} finds {recall} of the {recognizer.k} nearest"
        self.get_logger().info(
            f"{doing} model {model_id[:12]} ({recognizer.model.spec.architecture}, {recognizer.model.backend}, "
            f"{recognizer.model.device}, {recognizer.model.precision}) and gallery {gallery_id[:12]} "
            f"({len(recognizer.gallery)} anchors of {', '.join(recognizer.classes)}; k {recognizer.k}, "
            f"threshold {recognizer.threshold:g}{searched}), version {version}"
        )


def main(args: Optional[List[str]] = None) -> int:
    """Run the node by itself."""
    return run([SiameseEmotion], args)


if __name__ == "__main__":
    sys.exit(main())
