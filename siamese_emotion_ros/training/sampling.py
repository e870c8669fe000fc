"""Which faces form a batch: whole epochs of row numbers, each a pure function of (seed, epoch).

Nothing is remembered from batch to batch, so a resumed run needs only the numbers of its epoch and step to see the
batches that an unbroken one would have seen, and every process of a distributed run can work out its own share.
"""
from __future__ import annotations

from typing import Callable, Dict, List, Sequence

import numpy as np

from siamese_emotion_ros.training.config import SamplingConfig


class BatchSampler:
    """Draws the batches of an epoch for each of `world_size` processes.

    `labels` int64 [N] are class indices of the training faces, `classes` the labels by which errors name them.
    `rows_per_tuple` tells how many consecutive rows of a batch belong together (2 pairs, 3 triplets, 4 quadruplets, 1
    when the batch has no such order).
    """

    def __init__(
        self, labels: np.ndarray, config: SamplingConfig, seed: int, world_size: int = 1, classes: Sequence[str] = (),
    ) -> None:
        """ValueError when a class that the scheme must draw two faces from has fewer, or the data give no batch."""
        present = np.unique(labels)
        self._members = [np.flatnonzero(labels == label) for label in present]
        self._config = config
        self._seed = seed
        self._world_size = world_size
        for label, rows in zip(present, self._members):
            if len(rows) < 2:
                raise ValueError(
                    f"{classes[label] if classes else f'class {label}'} has a single training face: at least two of "
                    "each class are needed to learn from"
                )
        steps = len(labels) // (config.batch_size * world_size)
        self.steps = steps if config.steps_per_epoch is None else config.steps_per_epoch
        if self.steps == 0:
            raise ValueError(
                f"{len(labels)} training faces do not fill one batch of sampling.batch_size {config.batch_size} "
                f"in each of {world_size} process(es): use a smaller batch or set sampling.steps_per_epoch"
            )

    @property
    def rows_per_tuple(self) -> int:
        """How many consecutive rows of a batch form one tuple."""
        return {"pairs": 2, "triplets": 3, "quadruplets": 4}.get(self._config.scheme, 1)

    def epoch(self, epoch: int, rank: int = 0) -> np.ndarray:
        """Row numbers into the training faces, int64 [steps, batch_size], for process `rank` in this epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        draw: Dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
            "balanced": self._balanced,
            "classes_by_images": self._classes_by_images,
            "pairs": self._pairs,
            "triplets": self._triplets,
            "quadruplets": self._quadruplets,
        }
        batches = draw[self._config.scheme](rng, self.steps * self._world_size)
        return batches[rank :: self._world_size]

    def class_shares(self) -> np.ndarray:
        """Share of each class among the faces drawn one by one and the first of a tuple's, as n^(1 - power); sum 1."""
        counts = np.array([len(rows) for rows in self._members], float)
        weights = counts ** (1.0 - self._config.power)
        return np.asarray(weights / weights.sum())

    def _balanced(self, rng: np.random.Generator, batches: int) -> np.ndarray:
        total = batches * self._config.batch_size
        drawn = np.concatenate([
            _rounds(rng, rows, count) for rows, count in zip(self._members, _apportion(self.class_shares(), total))
        ])
        return rng.permutation(drawn).reshape(batches, self._config.batch_size)

    def _classes_by_images(self, rng: np.random.Generator, batches: int) -> np.ndarray:
        classes = self._config.classes_per_batch
        images = self._config.batch_size // classes
        chosen = np.stack([rng.choice(len(self._members), classes, replace=False) for _ in range(batches)])
        faces = self._draw(rng, np.repeat(chosen.ravel(), images))
        return faces.reshape(batches, self._config.batch_size)

    def _pairs(self, rng: np.random.Generator, batches: int) -> np.ndarray:
        count = batches * self._config.batch_size // 2
        first = self._draw_classes(rng, count)
        positive = rng.permutation(np.arange(count) < round(count * self._config.positive_share))
        second = np.where(positive, first, self._other_class(rng, first))
        return self._tuples(rng, batches, [first, second])

    def _triplets(self, rng: np.random.Generator, batches: int) -> np.ndarray:
        anchor = self._draw_classes(rng, batches * self._config.batch_size // 3)
        return self._tuples(rng, batches, [anchor, anchor, self._other_class(rng, anchor)])

    def _quadruplets(self, rng: np.random.Generator, batches: int) -> np.ndarray:
        anchor = self._draw_classes(rng, batches * self._config.batch_size // 4)
        negative = self._other_class(rng, anchor)
        return self._tuples(rng, batches, [anchor, anchor, negative, self._other_class(rng, anchor, negative)])

    def _tuples(self, rng: np.random.Generator, batches: int, classes: List[np.ndarray]) -> np.ndarray:
        faces = [self._draw(rng, of_member) for of_member in classes]
        self._part(rng, faces[0], faces[1], classes[1])
        return np.stack(faces, axis=1).reshape(batches, self._config.batch_size)

    def _part(self, rng: np.random.Generator, one: np.ndarray, other: np.ndarray, classes: np.ndarray) -> None:
        """Redraw, in place, members of `other` that are the same face as in `one`: no face is paired with itself."""
        while True:
            equal = np.flatnonzero(one == other)
            if not len(equal):
                return
            other[equal] = self._draw(rng, classes[equal])

    def _draw_classes(self, rng: np.random.Generator, count: int) -> np.ndarray:
        shares = _apportion(self.class_shares(), count)
        return rng.permutation(np.repeat(np.arange(len(shares)), shares))

    def _other_class(self, rng: np.random.Generator, *present: np.ndarray) -> np.ndarray:
        """For each element a class that none of `present` (arrays of classes) has there, by the class shares."""
        rows = np.arange(len(present[0]))
        weights = np.repeat(self.class_shares()[None], len(rows), axis=0)
        for classes in present:
            weights[rows, classes] = 0
        edges = np.cumsum(weights, axis=1)
        return np.asarray((rng.random((len(rows), 1)) * edges[:, -1:] >= edges).sum(axis=1))

    def _draw(self, rng: np.random.Generator, classes: np.ndarray) -> np.ndarray:
        """A face of each class named in `classes`; no face of a class returns before all others had their turn."""
        faces = np.empty(len(classes), np.int64)
        for label, rows in enumerate(self._members):
            wanted = np.flatnonzero(classes == label)
            faces[wanted] = _rounds(rng, rows, len(wanted))
        return faces


def _rounds(rng: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of `rows`, in rounds of a fresh order each, so that none is drawn twice more often than another."""
    rounds = -(-count // len(rows)) if count else 0
    if rounds == 0:
        return rows[:0]
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]


def _apportion(shares: np.ndarray, total: int) -> np.ndarray:
    """`total` split into whole numbers proportional to `shares`, by largest remainder."""
    exact = shares * total
    counts = np.floor(exact).astype(np.int64)
    largest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[largest] += 1
    return counts
