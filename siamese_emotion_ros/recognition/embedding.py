"""Many faces embedded part by part, with word of how far it has come."""
from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

import numpy as np

from siamese_emotion_ros.recognition.preprocessing import Faces

if TYPE_CHECKING:
    from siamese_emotion_ros.recognition.model import EmbeddingModel

#: Called with (done, total) of what is counted.
Progress = Callable[[int, int], None]

#: Progress is told each time that so many faces have been embedded.
FACES_PER_PART = 128


def embed_faces(model: EmbeddingModel, faces: Faces, progress: Optional[Progress] = None) -> np.ndarray:
    """Embeddings float32 [N, D] of N uint8 faces of any size; `progress` counts faces."""
    embeddings = np.empty((len(faces), model.embedding_dim), np.float32)
    for start in range(0, len(faces), FACES_PER_PART):
        part = faces[start : start + FACES_PER_PART]
        embeddings[start : start + len(part)] = model.embed(part)
        if progress is not None:
            progress(start + len(part), len(faces))
    return embeddings
