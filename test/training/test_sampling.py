from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.training.config import SamplingConfig
from siamese_emotion_ros.training.sampling import BatchSampler

#: 60 faces of class 0, 30 of class 1, 10 of class 2, in mixed order.
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 30, 10]))


def draws(sampler: BatchSampler, epochs: int = 1) -> np.ndarray:
    return np.concatenate([sampler.epoch(epoch).ravel() for epoch in range(epochs)])


def test_power_0_shows_every_face_once_an_epoch():
    sampler = BatchSampler(LABELS, SamplingConfig(batch_size=20), seed=1)
    batches = sampler.epoch(0)
    assert batches.shape == (5, 20) and sampler.rows_per_tuple == 1
    assert sorted(batches.ravel()) == list(range(100))


def test_power_1_shows_every_class_equally_often_and_half_way_by_the_root():
    uniform = BatchSampler(LABELS, SamplingConfig(batch_size=30, power=1, steps_per_epoch=10), seed=1)
    assert np.bincount(LABELS[draws(uniform)]).tolist() == [100, 100, 100]
    root = BatchSampler(LABELS, SamplingConfig(batch_size=30, power=0.5, steps_per_epoch=10), seed=1)
    shares = np.bincount(LABELS[draws(root)]) / 300
    expected = np.sqrt([60, 30, 10]) / np.sqrt([60, 30, 10]).sum()
    assert shares == pytest.approx(expected, abs=1 / 300)


def test_who_has_the_largest_remainder_is_drawn_once_more():
    # Of 25 faces 15, 7.5 and 2.5; of 32 faces 19.2, 9.6 and 3.2.
    for drawn, counts in ((25, ([15, 8, 2], [15, 7, 3])), (32, ([19, 10, 3],))):
        sampler = BatchSampler(LABELS, SamplingConfig(batch_size=drawn, steps_per_epoch=1), seed=1)
        assert np.bincount(LABELS[draws(sampler)]).tolist() in counts


def test_no_face_of_a_class_is_shown_twice_more_often_than_another():
    sampler = BatchSampler(LABELS, SamplingConfig(batch_size=30, power=1, steps_per_epoch=10), seed=1)
    shown = np.bincount(draws(sampler), minlength=100)
    for label in range(3):
        of_class = shown[label == LABELS]
        assert of_class.max() - of_class.min() <= 1


@pytest.mark.parametrize("scheme", ["balanced", "classes_by_images", "pairs", "triplets", "quadruplets"])
def test_an_epoch_depends_on_its_number_and_the_seed_alone(scheme):
    config = SamplingConfig(scheme=scheme, batch_size=12, classes_per_batch=3)
    sampler = BatchSampler(LABELS, config, seed=1)
    third = sampler.epoch(3)
    sampler.epoch(0)
    assert np.array_equal(sampler.epoch(3), third)
    assert np.array_equal(BatchSampler(LABELS, config, seed=1).epoch(3), third)
    assert not np.array_equal(sampler.epoch(4), third)
    assert not np.array_equal(BatchSampler(LABELS, config, seed=2).epoch(3), third)


def test_processes_share_an_epoch_without_overlap():
    shared = BatchSampler(LABELS, SamplingConfig(batch_size=10), seed=1, world_size=2)
    mine, theirs = shared.epoch(0, rank=0), shared.epoch(0, rank=1)
    assert mine.shape == theirs.shape == (5, 10)
    assert sorted(np.concatenate([mine, theirs]).ravel()) == list(range(100))


def test_classes_by_images_draws_as_many_faces_of_each_of_the_drawn_classes():
    config = SamplingConfig(scheme="classes_by_images", batch_size=12, classes_per_batch=2, steps_per_epoch=50)
    for batch in BatchSampler(LABELS, config, seed=1).epoch(0):
        counts = np.bincount(LABELS[batch], minlength=3)
        assert sorted(counts) == [0, 6, 6]


def test_pairs_are_of_one_class_as_often_as_asked_and_never_of_one_face():
    config = SamplingConfig(scheme="pairs", batch_size=40, positive_share=0.3, steps_per_epoch=25)
    sampler = BatchSampler(LABELS, config, seed=1)
    assert sampler.rows_per_tuple == 2
    one, other = sampler.epoch(0).reshape(-1, 2).T
    assert (LABELS[one] == LABELS[other]).mean() == pytest.approx(0.3)
    assert not (one == other).any()


def test_triplets_and_quadruplets_are_what_their_losses_need():
    config = SamplingConfig(scheme="triplets", batch_size=30, steps_per_epoch=20)
    sampler = BatchSampler(LABELS, config, seed=1)
    assert sampler.rows_per_tuple == 3
    anchor, positive, negative = sampler.epoch(0).reshape(-1, 3).T
    assert (LABELS[anchor] == LABELS[positive]).all() and (LABELS[anchor] != LABELS[negative]).all()
    assert not (anchor == positive).any()

    config = SamplingConfig(scheme="quadruplets", batch_size=40, steps_per_epoch=20)
    sampler = BatchSampler(LABELS, config, seed=1)
    assert sampler.rows_per_tuple == 4
    anchor, positive, negative, other = LABELS[sampler.epoch(0).reshape(-1, 4).T]
    assert (anchor == positive).all()
    assert (anchor != negative).all() and (negative != other).all() and (other != anchor).all()


@pytest.mark.parametrize("power, expected", [(0.0, [60, 30, 10]), (1.0, [1, 1, 1])])
def test_anchors_of_tuples_follow_the_class_shares(power, expected):
    config = SamplingConfig(scheme="triplets", batch_size=30, power=power, steps_per_epoch=30)
    anchors = BatchSampler(LABELS, config, seed=1).epoch(0).reshape(-1, 3)[:, 0]
    assert np.bincount(LABELS[anchors]) / 300 == pytest.approx(np.array(expected) / sum(expected), abs=1 / 300)


def test_two_faces_of_each_class_are_enough():
    assert BatchSampler(np.array([0, 1, 1, 0]), SamplingConfig(batch_size=4), seed=1).epoch(0).shape == (1, 4)


def test_too_few_faces_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="sampling.batch_size 101.*smaller batch"):
        BatchSampler(LABELS, SamplingConfig(batch_size=101), seed=1)
    with pytest.raises(ValueError, match="in each of 2 process"):
        BatchSampler(LABELS, SamplingConfig(batch_size=60), seed=1, world_size=2)
    with pytest.raises(ValueError, match="fear has a single training face"):
        BatchSampler(np.array([0, 0, 0, 1]), SamplingConfig(batch_size=2), seed=1, classes=("anger", "fear"))
