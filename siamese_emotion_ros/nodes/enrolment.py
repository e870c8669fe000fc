"""The services of siamese_emotion that change its gallery while frames flow, and tell what is in it."""
from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Callable, List, Tuple

import numpy as np

from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.nodes.collection import CropCollector
from siamese_emotion_ros.nodes.executors import FrameWaitersGroup
from siamese_emotion_ros.nodes.folders import place_of, why_unusable
from siamese_emotion_ros.nodes.lifecycle import REFUSALS
from siamese_emotion_ros.nodes.qos import SERVICE_QOS
from siamese_emotion_ros.nodes.snapshots import Snapshot, build_snapshot
from siamese_emotion_ros.recognition.artifacts import read_gallery, write_gallery
from siamese_emotion_ros.recognition.enrolment import (
    BLURRED,
    DEVIATING,
    DOUBTFUL,
    MAX_LABEL_LENGTH,
    TOO_SMALL,
    Candidate,
    Criteria,
    check_label,
    choose,
    extend,
    remove,
)
from siamese_emotion_ros.recognition.personal import NEUTRAL, PersonalNeutrals
from siamese_emotion_ros.srv import (
    AddAnchors,
    CalibrateNeutral,
    DescribeGallery,
    RemoveAnchors,
    ResetGallery,
    SaveGallery,
)

MAX_FACES = 200
DEFAULT_TIMEOUT, MAX_TIMEOUT = 10.0, 120.0

SUFFIX = ".gallery.safetensors"
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class EnrolmentServices:
    """~/add_anchors, ~/remove_anchors, ~/save_gallery, ~/reset_gallery, ~/describe_gallery, ~/calibrate_neutral.

    Every service answers, in any state of the node: success false, with the reason, when nothing was done.
    """

    def __init__(self, node: Any, crops: CropCollector) -> None:
        """`node` has settings, snapshot() and swap(); `crops` is offered the frames it answers."""
        self._node = node
        self._crops = crops
        waiters = FrameWaitersGroup()
        self._serve(AddAnchors, "add_anchors", self._add_anchors, waiters)
        self._serve(CalibrateNeutral, "calibrate_neutral", self._calibrate_neutral, waiters)
        self._serve(RemoveAnchors, "remove_anchors", self._remove_anchors)
        self._serve(SaveGallery, "save_gallery", self._save_gallery)
        self._serve(ResetGallery, "reset_gallery", self._reset_gallery)
        self._serve(DescribeGallery, "describe_gallery", self._describe_gallery)

    def _serve(self, service: type, name: str, act: Callable[[Any, Any], str], group: Any = None) -> None:
        """Answer calls of ~/<name> with the sentence that `act` returns, or with the reason why it raised."""

        def answer(request: Any, response: Any) -> Any:
            try:
                response.message = act(request, response)
                response.success = True
            except REFUSALS as error:
                response.message = str(error)
                self._node.get_logger().warning(f"~/{name}: {error}")
            except Exception as error:  # whatever it is, the caller waits for an answer
                response.message = f"{type(error).__name__}: {error}"
                self._node.log_fault(error)
            return response

        self._node.create_service(service, f"~/{name}", answer, qos_profile=SERVICE_QOS, callback_group=group)

    # --- the services ---

    def _add_anchors(self, request: Any, response: Any) -> str:
        # What can be refused at once is not waited for.
        _show_ids(self._node.snapshot(), response)
        check_label(self._node.snapshot().recognizer.gallery, request.label, request.new_class)
        _check_name(request.name)
        criteria = self._criteria()
        # Whose given images are is not known, and no face has the id 0.
        face_id, candidates = (0, _given(request.images)) if request.images else self._collect(request)
        said: List[str] = []

        def enrol(snapshot: Snapshot) -> Snapshot:
            recognizer = snapshot.recognizer
            if recognizer.gallery.images is not None and snapshot.neutrals.offset(face_id) is not None:
                raise ValueError(
                    f"face {face_id} has a personal neutral, and this gallery keeps its anchors' images, which know of "
                    "none: forget it by ~/reset_gallery, or use a gallery without images"
                )
            choice = choose(recognizer.model, candidates, criteria, recognizer.gallery)
            response.considered = len(candidates)
            response.too_small = choice.refused.get(TOO_SMALL, 0)
            response.poorly_detected = choice.refused.get(DOUBTFUL, 0)
            response.blurred = choice.refused.get(BLURRED, 0)
            response.unlike_the_others = choice.refused.get(DEVIATING, 0)
            if not len(choice.kept):
                raise ValueError(f"{choice.sentence()}: see the parameters enrolment.*")
            # As the face is compared from the next frame on.
            embeddings = snapshot.neutrals.corrected([face_id] * len(choice.kept), choice.embeddings)
            gallery, names = extend(
                recognizer.gallery, request.label, embeddings, [candidates[row].face for row in choice.kept],
                request.name, request.new_class, snapshot.on_disk.names,
            )
            following = snapshot.with_anchors(gallery)
            response.added, response.names = len(names), list(names)
            said.append(f"{choice.sentence()}; {_standing(following, request.label.strip())}")
            return following

        _show_ids(self._node.swap(enrol), response)
        return said[0]

    def _remove_anchors(self, request: Any, response: Any) -> str:
        _show_ids(self._node.snapshot(), response)

        def leave_out(snapshot: Snapshot) -> Snapshot:
            gallery, removed = remove(
                snapshot.recognizer.gallery, request.names, request.label.strip(), request.drop_classes
            )
            if not removed:
                raise ValueError("no anchor has such a name and label: see ~/describe_gallery and neighbor_names")
            following = snapshot.with_anchors(gallery)
            response.removed = removed
            return following

        snapshot = self._node.swap(leave_out)
        _show_ids(snapshot, response)
        return f"{response.removed} anchors removed; {len(snapshot.recognizer.gallery)} are left"

    def _save_gallery(self, request: Any, response: Any) -> str:
        gallery = self._node.snapshot().recognizer.gallery
        path = _file_to_write(self._node.settings.gallery_dir, request.name, request.overwrite)
        try:
            response.gallery_id = write_gallery(path, gallery)
        except OSError as error:  # a full or read-only disk: its own words name no file, or one that nobody asked for
            raise ValueError(
                f"{path} cannot be written ({why_unusable(error)}), and the gallery in use is as it was: make room "
                "and save again, or start the node with a gallery_dir that can be written to"
            ) from error
        response.path = str(path)
        self._node.mark_saved(gallery)
        return f"{len(gallery)} anchors written; to start with them: gallery_path {path.name}"

    def _reset_gallery(self, request: Any, response: Any) -> str:
        _show_ids(self._node.snapshot(), response)
        settings = self._node.settings

        def read_again(snapshot: Snapshot) -> Snapshot:
            forgotten = snapshot._replace(neutrals=PersonalNeutrals())
            return build_snapshot(settings, {"gallery_path"}, forgotten)

        snapshot = self._node.swap(read_again)
        _show_ids(snapshot, response)
        return f"{len(snapshot.recognizer.gallery)} anchors, as in {settings.gallery_path}"

    def _describe_gallery(self, request: Any, response: Any) -> str:
        snapshot = self._node.snapshot()
        recognizer, gallery = snapshot.recognizer, snapshot.recognizer.gallery
        on_disk = frozenset(snapshot.on_disk.names)
        fresh = [label for name, label in zip(gallery.names, gallery.labels) if name not in on_disk]
        unsaved = np.bincount(np.array(fresh, np.int64), minlength=len(gallery.classes))
        response.classes = list(gallery.classes)
        response.counts, response.unsaved = gallery.counts.tolist(), unsaved.tolist()
        response.changed = snapshot.changed
        response.gallery_path = self._node.settings.gallery_path
        response.k = recognizer.k
        response.distance_threshold = recognizer.threshold
        response.embedding_dim = gallery.embeddings.shape[1]
        response.has_images = gallery.images is not None
        response.calibrated_face_ids = list(snapshot.neutrals.means)
        response.model_id = recognizer.model.fingerprint
        _show_ids(snapshot, response)
        counts = ", ".join(f"{label} {count}" for label, count in zip(gallery.classes, gallery.counts))
        state = f"{int(unsaved.sum())} not saved" if snapshot.changed else "as on disk"
        return f"{len(gallery)} anchors ({counts}), {state}"

    def _calibrate_neutral(self, request: Any, response: Any) -> str:
        response.gallery_version = self._node.snapshot().version
        _check_has_neutral(self._node.snapshot())
        criteria = self._criteria()
        face_id, candidates = self._collect(request)
        said: List[str] = []

        def learn(snapshot: Snapshot) -> Snapshot:
            _check_has_neutral(snapshot)
            recognizer = snapshot.recognizer
            choice = choose(recognizer.model, candidates, criteria, recognizer.gallery)
            response.considered, response.used = len(candidates), len(choice.kept)
            if not len(choice.kept):
                raise ValueError(f"{choice.sentence()}: see the parameters enrolment.*")
            neutrals = snapshot.neutrals.learn(face_id, choice.embeddings)
            response.face_id = face_id
            response.offset = neutrals.distance(face_id)
            said.append(f"face {face_id}: {choice.sentence()}")
            return snapshot.with_neutrals(neutrals)

        response.gallery_version = self._node.swap(learn).version
        return said[0]

    # --- their parts ---

    def _collect(self, request: Any) -> Tuple[int, List[Candidate]]:
        if not 1 <= request.count <= MAX_FACES:
            raise ValueError(f"count is {request.count}: expected 1 to {MAX_FACES} crops")
        if not 0 <= request.timeout <= MAX_TIMEOUT:
            raise ValueError(f"timeout is {request.timeout:g} s: expected 0 (that is {DEFAULT_TIMEOUT:g}) to "
                             f"{MAX_TIMEOUT:g}")
        return self._crops.collect(request.face_id, request.count, request.timeout or DEFAULT_TIMEOUT)

    def _criteria(self) -> Criteria:
        settings = self._node.settings
        return Criteria(settings.enrolment_min_score, settings.enrolment_min_focus, settings.enrolment_agreement)


def _check_name(name: str) -> None:
    # Of every face that is near these anchors, k such names go with the answer.
    if len(name) > MAX_LABEL_LENGTH or not name.isprintable():
        raise ValueError(f"name is {name[:80]!r}: expected up to {MAX_LABEL_LENGTH} printable characters")


def _given(images: List[Any]) -> List[Candidate]:
    if len(images) > MAX_FACES:
        raise ValueError(f"{len(images)} images: expected at most {MAX_FACES} at a time")
    candidates = []
    for number, image in enumerate(images):
        try:
            candidates.append(Candidate(image_from_message(image)))
        except ValueError as error:
            raise ValueError(f"images[{number}]: {error}") from error
    return candidates


def _file_to_write(folder: str, name: str, overwrite: bool) -> Path:
    if not folder:
        raise ValueError("the parameter gallery_dir is empty: start the node with a folder for saved galleries")
    if not FILE_NAME.fullmatch(name):
        raise ValueError(
            f"name is {name[:120]!r}: expected a file name of up to 100 letters, digits, '_', '-' and '.', no folder"
        )
    path = place_of(folder) / (name if name.endswith(".safetensors") else name + SUFFIX)
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists: choose another name, or set overwrite")
    if path.exists():
        try:
            read_gallery(path)
        except ValueError as error:  # in one folder with galleries there may be the model that they need
            raise ValueError(f"only a gallery is replaced, and {error}; choose another name") from error
    return path


def _check_has_neutral(snapshot: Snapshot) -> None:
    classes = snapshot.recognizer.classes
    if NEUTRAL not in classes:
        raise ValueError(f"the gallery knows {', '.join(classes)}, not {NEUTRAL}: there is nothing to compare with")


def _standing(snapshot: Snapshot, label: str) -> str:
    """How many anchors a class has now, and how that compares with the number that votes."""
    gallery, k = snapshot.recognizer.gallery, snapshot.recognizer.k
    count = int(gallery.counts[gallery.classes.index(label)])
    few = f", of {k} that vote" if count < math.ceil(k / 2) else ""
    return f"{label} has {count} anchors{few}"


def _show_ids(snapshot: Snapshot, response: Any) -> None:
    _, response.gallery_id, response.gallery_version = snapshot.ids

