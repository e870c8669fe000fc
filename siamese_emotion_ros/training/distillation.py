"""Finished models as teachers of another: their answers to the very faces that the student sees."""
from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from siamese_emotion_ros.recognition.artifacts import HEAD_BIAS, HEAD_WEIGHT, ArtifactError, read_model
from siamese_emotion_ros.recognition.model import load_network
from siamese_emotion_ros.recognition.networks import is_quantized
from siamese_emotion_ros.training.config import ConfigError
from siamese_emotion_ros.training.data import resized, scale


class Teachers:
    """One or more models with a classification head, asked together (Hinton et al. 2015).

    A teacher says what can still be told from a blurred, covered or turned face, where a label says the same about
    every copy; it is therefore asked about the augmented face itself (Beyer et al. 2022, "consistent teaching"), and
    with `mirror` about its mirror image, too, in twice the time: the mean of both is nearer to the truth than either.
    A teacher whose faces are larger or smaller than the student's sees them resized.
    Not an nn.Module: the weights of teachers do not belong in the student's checkpoints.
    """

    def __init__(self, paths: Sequence[str], classes: Sequence[str], mirror: bool = True) -> None:
        """Read the model files; ConfigError for one that has no head over `classes`."""
        self._mirror = mirror
        self._members = [_Teacher(path, classes) for path in paths]
        #: Fingerprints of the models, as the student's provenance names them.
        self.fingerprints: List[str] = [member.fingerprint for member in self._members]

    @torch.no_grad()
    def __call__(self, faces: Tensor) -> Tensor:
        """The mean of the teachers' probabilities, float32 [N, C], of faces [N, 1, S, S] in 0..255."""
        views = (faces, faces.flip(dims=(3,))) if self._mirror else (faces,)
        return torch.stack([member(view) for member in self._members for view in views]).mean(dim=0)


class _Teacher:
    def __init__(self, path: str, classes: Sequence[str]) -> None:
        try:
            stored = read_model(path)
            network = load_network(stored)
        except ArtifactError as error:
            raise ConfigError(f"distillation.teachers: {error}") from error
        spec = stored.spec
        missing = [name for name in classes if name not in spec.head_classes]
        if missing:
            raise ConfigError(
                f"distillation.teachers: {path} has no classification head over {', '.join(missing)} (it has "
                f"{', '.join(spec.head_classes) or 'none'}): train it with loss.cross_entropy on these classes"
            )
        # A teacher of more emotions is asked about those of the student alone.
        columns = [spec.head_classes.index(name) for name in classes]
        self.fingerprint = stored.fingerprint
        self._side = spec.input_size
        self._scaling = spec.scaling
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._has_integers = is_quantized(spec.architecture)
        #: The same network in a CPU's integer instructions, in a quarter of the time; made when first needed.
        self._for_cpu: Optional[nn.Module] = None
        self._weight = torch.from_numpy(stored.weights[HEAD_WEIGHT].astype(np.float32)[columns])
        self._bias = torch.from_numpy(stored.weights[HEAD_BIAS].astype(np.float32)[columns])

    def __call__(self, faces: Tensor) -> Tensor:
        if faces.device != self._weight.device:
            self._network.to(faces.device)
            self._weight, self._bias = self._weight.to(faces.device), self._bias.to(faces.device)
        inputs = scale(resized(faces, self._side), self._scaling).contiguous(memory_format=torch.channels_last)
        embeddings = self._embed(inputs)
        with torch.autocast(faces.device.type, enabled=False):
            return functional.linear(embeddings, self._weight, self._bias).softmax(dim=1)

    def _embed(self, inputs: Tensor) -> Tensor:
        if inputs.device.type != "cpu" or not self._has_integers:
            return self._network(inputs).float()
        if self._for_cpu is None:
            self._for_cpu = self._network.for_cpu()  # type: ignore[operator]
        with torch.autocast("cpu", enabled=False):
            return self._for_cpu(inputs)
