"""Personal neutral: subtracts the offset of a person's resting face from the embedding before the search."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, Optional, Sequence

import numpy as np

from siamese_emotion_ros.recognition.gallery import Gallery

NEUTRAL = "neutral"

#: People whose neutral face is remembered; face ids are never used again, so the oldest are of no more use.
MAX_PEOPLE = 64


@dataclass(frozen=True, eq=False)
class PersonalNeutrals:
    """The mean embedding of people's neutral faces, float32 [D] by face id, and where neutral is in the gallery.

    centre: float32 [D], the mean of the gallery's neutral anchors; None in a gallery without any, and then nobody is
    corrected. Immutable, as all that answers a frame.
    """

    means: Dict[int, np.ndarray] = field(default_factory=dict)
    centre: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.means)

    def within(self, gallery: Gallery) -> PersonalNeutrals:
        """The same people before the anchors of another gallery of the same model."""
        return replace(self, centre=neutral_centre(gallery))

    def learn(self, face_id: int, embeddings: np.ndarray) -> PersonalNeutrals:
        """With one more person's neutral face, from embeddings float32 [M, D] of it; it replaces an earlier one."""
        means = {known: mean for known, mean in self.means.items() if known != face_id}
        means[face_id] = embeddings.mean(axis=0)
        return replace(self, means=dict(list(means.items())[-MAX_PEOPLE:]))

    def offset(self, face_id: int) -> Optional[np.ndarray]:
        """What is taken off this face's embeddings, float32 [D]; None for somebody who is not known."""
        if self.centre is None or face_id not in self.means:
            return None
        return self.means[face_id] - self.centre

    def distance(self, face_id: int) -> float:
        """The length of what is taken off this face's embeddings; 0 for somebody who is not known."""
        offset = self.offset(face_id)
        return 0.0 if offset is None else float(np.linalg.norm(offset))

    def corrected(self, face_ids: Sequence[int], embeddings: np.ndarray) -> np.ndarray:
        """Embeddings float32 [N, D] of the faces with these ids, less what is their person's own."""
        offsets = [self.offset(face_id) for face_id in face_ids] if self.means else []
        if not any(offset is not None for offset in offsets):
            return embeddings
        return np.stack([row if offset is None else row - offset for row, offset in zip(embeddings, offsets)])


def neutral_centre(gallery: Gallery) -> Optional[np.ndarray]:
    """The mean of the gallery's neutral anchors, float32 [D]; None when it has none."""
    if NEUTRAL not in gallery.classes:
        return None
    return gallery.embeddings[gallery.labels == gallery.classes.index(NEUTRAL)].mean(axis=0)
