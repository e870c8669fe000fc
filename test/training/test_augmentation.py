from __future__ import annotations

import numpy as np
import pytest
import torch

from siamese_emotion_ros.training.augmentation import JPEG_LUMINANCE, Augmentation, compress, generator_for, mix
from siamese_emotion_ros.training.config import AugmentationConfig

EVERYTHING = AugmentationConfig(
    flip=0.5, rotation=20, scale=0.2, translation=0.1, brightness=0.2, contrast=0.3, gamma=0.5, noise=0.1, blur=1.5,
    cutout=0.5, low_resolution=0.5, exposure=1.0, mask=0.5, sharpen=1.0,
)


def faces(count=16, side=24):
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def flat(value, count=16, side=24):
    return torch.full((count, 1, side, side), value, dtype=torch.uint8)


def augmented(original, seed=0, **changes):
    return Augmentation(AugmentationConfig(**changes))(original, generator_for(torch.device("cpu"), seed))


def test_by_default_nothing_changes():
    assert torch.equal(augmented(faces()), faces().float())


def test_the_same_numbers_give_the_same_faces_and_others_do_not():
    def run(*numbers):
        return Augmentation(EVERYTHING)(faces(), generator_for(torch.device("cpu"), *numbers))

    assert torch.equal(run(0, 3, 7, 0), run(0, 3, 7, 0))
    for other in [(1, 3, 7, 0), (0, 4, 7, 0), (0, 3, 8, 0), (0, 3, 7, 1)]:
        assert not torch.equal(run(0, 3, 7, 0), run(*other))


def test_everything_together_stays_a_grey_image_and_leaves_its_input():
    original = faces()
    before = original.clone()
    changed = Augmentation(EVERYTHING)(original, generator_for(torch.device("cpu"), 0))
    assert changed.shape == original.shape and changed.dtype == torch.float32
    assert changed.min() >= 0 and changed.max() <= 255
    assert torch.equal(original, before)


def test_flip_mirrors_left_and_right():
    assert torch.allclose(augmented(faces(), flip=1.0), faces().float().flip(3), atol=0.01)
    half = augmented(faces(200), flip=0.5)
    mirrored = (half - faces(200).float()).abs().amax(dim=(1, 2, 3)) > 1
    assert 70 < mirrored.sum() < 130


def test_translation_moves_a_spot_by_at_most_its_share():
    original = torch.zeros(64, 1, 33, 33)
    original[:, :, 16, 16] = 255
    moved = augmented(original, translation=0.25)
    row, column = (moved.sum(dim=d).flatten(1).argmax(dim=1) - 16 for d in (3, 2))
    assert row.abs().max() <= 9 and column.abs().max() <= 9
    assert row.abs().max() > 4 and column.abs().max() > 4
    assert len({(int(r), int(c)) for r, c in zip(row, column)}) > 10, "every face moves by its own amount"


def test_rotation_and_scale_keep_the_middle():
    original = torch.zeros(32, 1, 33, 33)
    original[:, :, 16, 8:25] = 255
    for change in ({"rotation": 45}, {"scale": 0.5}):
        changed = augmented(original, **change)
        assert changed[:, 0, 16, 16].min() > 200
        assert (changed - original).abs().amax(dim=(1, 2, 3)).max() > 100


def test_brightness_contrast_and_gamma_change_light_not_shape():
    lighter = augmented(flat(128), brightness=0.2)
    assert (lighter - 128).abs().max() <= 0.2 * 255 + 0.01
    assert lighter[:, 0, 0, 0].unique().numel() == 16
    assert torch.allclose(augmented(flat(128), contrast=0.5), flat(128).float(), atol=0.01)
    original = faces()
    for change in ({"contrast": 0.5}, {"gamma": 1.0}):
        changed = augmented(original, **change)
        assert not torch.allclose(changed, original.float(), atol=1)
        brighter = original[:, :, :, 1:] > original[:, :, :, :-1]
        assert (changed[:, :, :, 1:] >= changed[:, :, :, :-1])[brighter].all(), "the order of grey values stays"


@pytest.mark.parametrize("change", [{"contrast": 0.5}, {"scale": 0.5}])
def test_contrast_and_scale_go_as_far_down_as_up(change):
    steps = torch.arange(33.0).mul(3).add(80).expand(64, 1, 33, 33)
    changed = augmented(steps, **change)[:, 0, 16]
    slopes = (changed[:, 17] - changed[:, 15]) / 6
    assert 0.5 <= slopes.min() < 0.6 and 1.4 < slopes.max() <= 1.5 + 1e-4


def test_rotation_turns_by_at_most_its_angle_to_both_sides():
    grid = torch.arange(33.0) - 16
    original = (grid[None, :] + 0 * grid[:, None]).mul(3).add(128).expand(64, 1, 33, 33)
    changed = augmented(original, rotation=30)[:, 0]
    down, across = changed[:, 17, 16] - changed[:, 15, 16], changed[:, 16, 17] - changed[:, 16, 15]
    angles = torch.rad2deg(torch.atan2(down, across))
    assert -30 <= angles.min() < -24 and 24 < angles.max() <= 30 + 1e-3


def test_noise_has_at_most_the_deviation_asked_for():
    changed = augmented(flat(128, count=64), noise=0.1)
    deviation = (changed - 128).flatten(1).std(dim=1) / 255
    assert 0.05 < deviation.max() < 0.11


@pytest.mark.parametrize("change", [{"blur": 2.0}, {"low_resolution": 1.0}], ids=["blur", "low_resolution"])
def test_blur_and_low_resolution_remove_detail_and_keep_the_mean(change):
    original = faces(32)
    changed = augmented(original, **change)
    roughness = (changed[..., 1:] - changed[..., :-1]).abs().mean(dim=(1, 2, 3))
    before = (original[..., 1:].float() - original[..., :-1].float()).abs().mean(dim=(1, 2, 3))
    assert roughness.mean() < 0.7 * before.mean()
    assert torch.allclose(changed.mean(dim=(1, 2, 3)), original.float().mean(dim=(1, 2, 3)), atol=12)
    assert torch.allclose(augmented(flat(90), **change), flat(90).float(), atol=0.01)


def test_sharpening_steepens_an_edge_and_leaves_what_is_flat():
    edge = torch.full((64, 1, 24, 24), 100, dtype=torch.uint8)
    edge[..., 12:] = 140
    changed = augmented(edge, sharpen=2.0)
    steps = changed[:, 0, 12, 12] - changed[:, 0, 12, 11]
    assert 40 <= steps.min() < 50 and steps.max() > 75, "from not at all to twice what a pixel smooths away"
    assert torch.allclose(changed[..., :8], torch.tensor(100.0), atol=0.01)
    assert torch.allclose(augmented(flat(90), sharpen=2.0), flat(90).float(), atol=0.01)


def test_cutout_covers_one_rectangle_with_one_grey():
    original = faces(32)
    changed = augmented(original, cutout=1.0)
    for before, after in zip(original.float(), changed):
        covered = (after != before)[0]
        rows, columns = covered.any(dim=1).nonzero(), covered.any(dim=0).nonzero()
        height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
        assert height <= 13 and width <= 13
        assert covered.sum() >= 0.9 * height * width
        assert len(after[0][covered].unique()) == 1
    assert torch.equal(augmented(original, cutout=1e-9), original.float())


def test_a_mask_covers_whole_rows_from_below_or_above_with_one_grey():
    original = faces(64)
    changed = augmented(original, mask=1.0)
    from_below = from_above = 0
    for before, after in zip(original.float(), changed):
        rows = (after != before)[0].any(dim=1).nonzero().flatten().tolist()
        if not rows:
            continue
        assert len(after[0][rows].unique()) == 1
        assert rows == list(range(rows[0], rows[-1] + 1))
        if rows[-1] == 23:
            from_below += 1
            assert rows[0] >= 13
        else:
            from_above += 1
            assert rows[0] == 0 and rows[-1] <= 8
    assert from_below > 15 and from_above > 15
    assert torch.equal(augmented(original, mask=1e-9), original.float())


def test_exposure_multiplies_light_and_cuts_off_what_is_too_bright():
    gains = augmented(flat(50, count=64), exposure=1.0)[:, 0, 0, 0] / 50
    assert 0.5 <= gains.min() < 0.6 and 1.8 < gains.max() <= 2.0
    assert augmented(flat(200, count=64), exposure=1.0).max() == 255


def test_turn_moves_the_middle_and_leaves_the_edges():
    original = torch.arange(24, dtype=torch.uint8).mul(10).expand(16, 1, 24, 24)
    changed = augmented(original, turn=0.3)
    shift = (changed - original.float()).mean(dim=(1, 2)) / 10
    assert shift[:, 12].abs().max() > 1.5
    assert shift[:, 12].abs().max() <= 0.3 * 12 + 0.1
    assert shift[:, [0, 23]].abs().max() < 0.8
    assert (shift[:, 12] > 0).any() and (shift[:, 12] < 0).any()


@pytest.mark.parametrize("quality", [10, 30, 50, 90])
def test_jpeg_leaves_what_a_real_encoder_leaves(quality):
    cv2 = pytest.importorskip("cv2")
    grid = torch.arange(48, dtype=torch.float32)
    original = (128 + 60 * torch.sin(grid / 5)[:, None] * torch.cos(grid / 3)[None, :])[None, None].round()
    original[..., 10:20, 10:20] = 250
    coded = cv2.imencode(".jpg", original[0, 0].byte().numpy(), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = torch.from_numpy(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)).float()
    difference = compress(original, torch.tensor(float(quality)).reshape(1, 1, 1, 1))[0, 0] - expected
    assert difference.abs().mean() < 0.5
    assert difference.abs().max() <= 12, "libjpeg rounds in other places, no more"


def test_the_quantisation_is_that_of_an_encoder_of_quality_50():
    cv2 = pytest.importorskip("cv2")
    coded = cv2.imencode(".jpg", np.zeros((8, 8), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()
    start = coded.index(b"\xff\xdb\x00\x43\x00") + 5
    # In zigzag: by diagonals, every other one from below.
    places = sorted(np.ndindex(8, 8), key=lambda place: (sum(place), place[sum(place) % 2 == 0]))
    table = dict(zip(places, coded[start : start + 64]))
    assert tuple(table[place] for place in np.ndindex(8, 8)) == JPEG_LUMINANCE


def test_the_asked_share_of_faces_is_compressed():
    original = faces(200)
    changed = (augmented(original, jpeg=0.5) != original).flatten(1).any(dim=1).float().mean()
    assert 0.35 < changed < 0.65


def test_jpeg_takes_sides_that_are_no_whole_blocks():
    assert compress(faces(2, side=21).float(), torch.full((2, 1, 1, 1), 40.0)).shape == (2, 1, 21, 21)


def test_untouched_faces_are_moved_and_not_otherwise_changed():
    original = flat(100, count=200)
    changed = augmented(original, untouched=0.5, rotation=20.0, brightness=0.5)
    same = ((changed - 100).abs() < 0.01).flatten(1).all(dim=1).float().mean()
    assert 0.35 < same < 0.65


def test_mixed_faces_and_their_labels_are_the_same_blend_of_two():
    original = torch.arange(40.0).reshape(40, 1, 1, 1).expand(40, 1, 4, 4).clone()
    faces, targets = mix(original, torch.eye(40), 0.6, generator_for(torch.device("cpu"), 1))
    assert torch.allclose(targets.sum(dim=1), torch.ones(40))
    assert torch.allclose(targets @ torch.arange(40.0), faces[:, 0, 0, 0], atol=1e-4), "face i is of value i"
    assert (targets.diagonal() >= 0.5).all(), "most of a face is itself"
    blended = (targets > 0).sum(dim=1)
    assert blended.max() == 2 and 12 <= (blended == 2).sum() <= 34
    untouched, _ = mix(original, torch.eye(40), 0.0, generator_for(torch.device("cpu"), 1))
    assert torch.equal(untouched, original)
