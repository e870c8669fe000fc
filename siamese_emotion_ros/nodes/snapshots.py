"""Which model, gallery and settings answer: built and warmed off the frame path, then swapped as one reference."""
from __future__ import annotations

from pathlib import Path
from typing import AbstractSet, Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.nodes.folders import lies_in, place_of, why_unusable
from siamese_emotion_ros.recognition.artifacts import ArtifactError, read_gallery
from siamese_emotion_ros.recognition.gallery import Gallery, reembed
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.personal import PersonalNeutrals
from siamese_emotion_ros.recognition.preprocessing import Faces
from siamese_emotion_ros.recognition.recognizer import Recognition, Recognizer, Settings
from siamese_emotion_ros.recognition.smoothing import FaceSmoother

#: The settings that make a new recognizer, and so count as a swap; and those that only begin the smoothing again.
SWAPPED = frozenset(("model_path", "gallery_path", "k", "distance_threshold", "search"))
SMOOTHED = frozenset(("smoothing.window", "smoothing.hysteresis"))


class OnDisk(NamedTuple):
    """What is known of a gallery that a file holds: its fingerprint, and the names of its anchors."""

    fingerprint: str
    names: Tuple[str, ...]

    @classmethod
    def of(cls, gallery: Gallery) -> OnDisk:
        """A gallery that was just read or written."""
        return cls(gallery.fingerprint, gallery.names)


class Snapshot(NamedTuple):
    """All that decides an answer. A frame is answered by one snapshot from beginning to end.

    gallery: as read from its file, or with what was enrolled since; the recognizer's own may have been embedded anew
    for another model. smoother: new with each swap, as votes of two models do not mix. version: 1, 2, … counts the
    swaps. on_disk: the gallery's file as it was read or saved. neutrals: whose personal neutral is subtracted.
    """

    recognizer: Recognizer
    gallery: Gallery
    smoother: FaceSmoother
    version: int
    on_disk: OnDisk
    neutrals: PersonalNeutrals

    @property
    def ids(self) -> Tuple[str, str, int]:
        """model_id, gallery_id and gallery_version as they go into a message."""
        return self.recognizer.model.fingerprint, self.recognizer.gallery.fingerprint, self.version

    @property
    def changed(self) -> bool:
        """True when anchors were added or removed since the gallery was read or saved."""
        return self.gallery.fingerprint != self.on_disk.fingerprint

    def recognize(self, face_ids: Sequence[int], faces: Faces) -> List[Recognition]:
        """What the faces of one frame, with their tracking ids, are taken for; smoothed."""
        embeddings = self.neutrals.corrected(face_ids, self.recognizer.model.embed(faces))
        return self.smoother.smooth(
            self.recognizer.classes, face_ids, self.recognizer.recognize_embeddings(embeddings)
        )

    def with_anchors(self, gallery: Gallery) -> Snapshot:
        """The next snapshot, with another gallery for the same model; ValueError when k is more than its anchors."""
        recognizer = Recognizer(self.recognizer.model, gallery, self.recognizer.settings)
        gallery.fingerprint  # noqa: B018 - hashes the gallery now rather than in the next frame
        return self._replace(
            recognizer=recognizer, gallery=gallery, smoother=self.smoother.afresh(), version=self.version + 1,
            neutrals=self.neutrals.within(gallery),
        )

    def with_neutrals(self, neutrals: PersonalNeutrals) -> Snapshot:
        """The next snapshot, with other people's neutral faces subtracted."""
        return self._replace(neutrals=neutrals, smoother=self.smoother.afresh(), version=self.version + 1)

    def without_people(self) -> Snapshot:
        """The same, without the personal neutrals and the votes of earlier frames."""
        return self._replace(neutrals=PersonalNeutrals(centre=self.neutrals.centre), smoother=self.smoother.afresh())


def build_snapshot(
    settings: Any, changed: AbstractSet[str] = SWAPPED, previous: Optional[Snapshot] = None
) -> Snapshot:
    """The snapshot for a node's settings (see nodes.siamese_emotion), reading again only what `changed` names.

    ValueError, and nothing has happened, for a file that cannot be used or a model and gallery that do not fit.
    """
    smoother = FaceSmoother(settings.smoothing_window, settings.smoothing_hysteresis)
    if previous is not None and not changed & SWAPPED:
        return previous._replace(smoother=smoother) if changed & SMOOTHED else previous
    folders = artifact_folders(settings)
    if previous is None or "model_path" in changed:
        path = resolve_artifact("model_path", settings.model_path, folders)
        model = EmbeddingModel.load(path, settings.device, settings.precision, settings.backend, settings.threads)
        model.warm_up()
    else:
        model = previous.recognizer.model
    if previous is None or "gallery_path" in changed:
        gallery = read_gallery(resolve_artifact("gallery_path", settings.gallery_path, folders))
        on_disk = OnDisk.of(gallery)
    else:
        gallery, on_disk = previous.gallery, previous.on_disk
    fitting = gallery
    if gallery.model_fingerprint != model.fingerprint and gallery.images is not None:
        if previous is not None and gallery is previous.gallery and model is previous.recognizer.model:
            fitting = previous.recognizer.gallery
        else:
            fitting = reembed(gallery, model)
    vote = Settings(settings.k or None, settings.distance_threshold or None, settings.search)
    recognizer = Recognizer(model, fitting, vote)
    recognizer.recognize([np.zeros((model.spec.input_size, model.spec.input_size), np.uint8)])
    recognizer.gallery.fingerprint  # noqa: B018 - hashes the gallery now rather than in the first frame
    neutrals = PersonalNeutrals()
    if previous is not None and previous.recognizer.model.fingerprint == model.fingerprint:
        neutrals = previous.neutrals  # they are places in the model's space
    version = 1 if previous is None else previous.version + 1
    return Snapshot(recognizer, gallery, smoother, version, on_disk, neutrals.within(fitting))


def artifact_folders(settings: Any) -> List[str]:
    """The folders that model and gallery may come from; what ~/save_gallery writes can be read again."""
    return [*settings.artifact_dirs, *([settings.gallery_dir] if settings.gallery_dir else [])]


def resolve_artifact(parameter: str, name: str, folders: Sequence[str]) -> Path:
    """The file that a model_path or gallery_path means, which has to lie in one of `folders`.

    A relative name is looked for in each folder in turn. Symbolic links and `..` are followed before the check.
    ArtifactError says which parameter, what it was and what to do.
    """
    if not name:
        raise ArtifactError(f"{parameter} is empty: set it to a file in {', '.join(folders)}")
    outside = None
    try:
        given = Path(name).expanduser()
        for folder in folders:
            file = place_of(place_of(folder) / given)  # an absolute path stays what it is
            if not lies_in(file, folders):
                outside = file
            elif file.is_file():
                return file
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a loop of links, a null byte
        raise ArtifactError(
            f"{parameter} is {name[:200]!r}, which is not a usable path ({why_unusable(error)})"
        ) from error
    if outside is not None:
        raise ArtifactError(
            f"{parameter} is {name!r}, that is {outside}, outside artifact_dirs ({', '.join(folders)}): "
            "move the file there, or start the node with its folder in artifact_dirs"
        )
    raise ArtifactError(f"{parameter} is {name!r}: no such file in {', '.join(folders)}")
