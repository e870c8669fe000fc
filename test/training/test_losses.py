"""Every loss against its formula, recomputed face by face in plain Python."""
from __future__ import annotations

import itertools
import math

import pytest
import torch

from siamese_emotion_ros.training.config import LossConfig
from siamese_emotion_ros.training.losses import (
    ContrastiveLoss,
    DistanceLoss,
    QuadrupletLoss,
    SupervisedContrastiveLoss,
    TripletLoss,
    make_loss,
)

LABELS = [0, 0, 1, 1, 2, 0, 2, 1]
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def embeddings(dtype=torch.float32, seed=0, spread=0.6):
    generator = torch.Generator().manual_seed(seed)
    # An offset as of a real network: distances must not suffer from it.
    return (3 + spread * torch.randn(len(LABELS), 5, generator=generator, dtype=torch.float64)).to(dtype)


def distance(points, one, other):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(points[one], points[other])))


def contrastive_pair(points, one, other, margin):
    """Equation 3 of the paper, y = 0 for one class."""
    y = 0 if LABELS[one] == LABELS[other] else 1
    d = distance(points, one, other)
    return (1 - y) * d**2 / 2 + y * max(0.0, margin - d) ** 2 / 2


def mean(values):
    return sum(values) / len(values)


def close(loss, expected, dtype=torch.float32):
    assert expected > 0, "a comparison with zero would prove nothing"
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    assert float(loss) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_contrastive_is_equation_3_over_all_pairs(dtype):
    rows = embeddings(dtype)
    points = rows.double().tolist()
    pairs = list(itertools.combinations(range(len(LABELS)), 2))
    expected = mean([contrastive_pair(points, i, j, margin=2.0) for i, j in pairs])
    close(ContrastiveLoss(2.0)(rows, torch.tensor(LABELS)), expected, dtype)


@pytest.mark.parametrize("reduction", ["balanced", "active"])
def test_contrastive_reductions_weigh_pulls_and_pushes_as_defined(reduction):
    rows = embeddings()
    points = rows.double().tolist()
    margin = 1.6
    pairs = list(itertools.combinations(range(len(LABELS)), 2))
    pulls = [contrastive_pair(points, i, j, margin) for i, j in pairs if LABELS[i] == LABELS[j]]
    pushes = [contrastive_pair(points, i, j, margin) for i, j in pairs if LABELS[i] != LABELS[j]]
    active = [push for push in pushes if push > 0]
    assert 0 < len(active) < len(pushes), "the margin must separate pairs for this test to tell the two apart"
    expected = mean(pulls) + mean(active if reduction == "active" else pushes)
    close(ContrastiveLoss(margin, reduction)(rows, torch.tensor(LABELS)), expected)


def test_distances_do_not_lose_digits_far_from_the_origin():
    rows = embeddings(torch.float64)
    far = (rows + torch.tensor([500, -500, 300, 0, 900])).float()
    exact = ContrastiveLoss(2.0)(rows, torch.tensor(LABELS))
    assert float(ContrastiveLoss(2.0)(far, torch.tensor(LABELS))) == pytest.approx(float(exact), rel=1e-3)


def test_contrastive_over_given_pairs():
    rows = embeddings()
    pairs = [(0, 1), (2, 5), (4, 6), (7, 0)]
    expected = mean([contrastive_pair(rows.double().tolist(), i, j, 2.0) for i, j in pairs])
    close(ContrastiveLoss(2.0)(rows, torch.tensor(LABELS), torch.tensor(pairs)), expected)


def hardest_of(points, anchor):
    others = [i for i in range(len(LABELS)) if i != anchor]
    positive = max((i for i in others if LABELS[i] == LABELS[anchor]), key=lambda i: distance(points, anchor, i))
    negative = min((i for i in others if LABELS[i] != LABELS[anchor]), key=lambda i: distance(points, anchor, i))
    return positive, negative


def test_contrastive_over_the_hardest_pairs():
    rows = embeddings()
    points = rows.double().tolist()
    hard = [hardest_of(points, anchor) for anchor in range(len(LABELS))]
    expected = mean(
        [contrastive_pair(points, a, p, 2.0) for a, (p, _) in enumerate(hard)]
        + [contrastive_pair(points, a, n, 2.0) for a, (_, n) in enumerate(hard)]
    )
    close(ContrastiveLoss(2.0, hard=True)(rows, torch.tensor(LABELS)), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_triplet_over_all_triplets(dtype):
    rows = embeddings(dtype)
    points = rows.double().tolist()
    losses = [
        max(0.0, distance(points, a, p) - distance(points, a, n) + 0.3)
        for a, p, n in itertools.product(range(len(LABELS)), repeat=3)
        if a != p and LABELS[a] == LABELS[p] and LABELS[a] != LABELS[n]
    ]
    close(TripletLoss(0.3)(rows, torch.tensor(LABELS)), mean(losses), dtype)


def test_triplet_over_the_hardest_and_over_given_triplets():
    rows = embeddings()
    points = rows.double().tolist()

    def triplet(a, p, n):
        return max(0.0, distance(points, a, p) - distance(points, a, n) + 0.3)

    hard = [triplet(a, *hardest_of(points, a)) for a in range(len(LABELS))]
    close(TripletLoss(0.3, hard=True)(rows, torch.tensor(LABELS)), mean(hard))
    given = [(0, 1, 2), (3, 2, 4), (6, 4, 7)]
    close(TripletLoss(0.3)(rows, torch.tensor(LABELS), torch.tensor(given)), mean([triplet(*t) for t in given]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_quadruplet_over_the_hardest(dtype):
    rows = embeddings(dtype)
    points = rows.double().tolist()
    losses = []
    for a in range(len(LABELS)):
        p, n = hardest_of(points, a)
        strangers = [
            distance(points, i, j) for i, j in itertools.combinations(range(len(LABELS)), 2)
            if len({LABELS[i], LABELS[j], LABELS[a]}) == 3
        ]
        near = distance(points, a, p)
        losses.append(max(0.0, near - distance(points, a, n) + 0.5) + max(0.0, near - min(strangers) + 0.2))
    close(QuadrupletLoss(0.5, 0.2)(rows, torch.tensor(LABELS)), mean(losses), dtype)


def test_quadruplet_over_given_quadruplets():
    rows = embeddings()
    points = rows.double().tolist()
    given = [(0, 1, 2, 4), (2, 3, 5, 6), (4, 6, 7, 1)]
    losses = [
        max(0.0, distance(points, a, p) - distance(points, a, n) + 0.5)
        + max(0.0, distance(points, a, p) - distance(points, n, o) + 0.2)
        for a, p, n, o in given
    ]
    close(QuadrupletLoss(0.5, 0.2)(rows, torch.tensor(LABELS), torch.tensor(given)), mean(losses))


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_supervised_contrastive_is_the_published_loss_on_unit_vectors(dtype):
    angles = torch.tensor([0.0, 0.4, 1.1, 1.3, 2.0, 0.2, 2.4, 0.9], dtype=torch.float64)
    rows = torch.stack([angles.cos(), angles.sin()], dim=1).to(dtype)
    temperature = 0.5
    faces = range(len(LABELS))
    losses = []
    for i in faces:
        similarity = [math.cos(float(angles[i] - angles[j])) / temperature for j in faces]
        everybody = sum(math.exp(similarity[a]) for a in faces if a != i)
        partners = [p for p in faces if p != i and LABELS[p] == LABELS[i]]
        losses.append(-mean([math.log(math.exp(similarity[p]) / everybody) for p in partners]))
    close(SupervisedContrastiveLoss(temperature)(rows, torch.tensor(LABELS)), mean(losses), dtype)


def test_supervised_contrastive_leaves_a_face_without_partners_out_of_the_mean():
    rows = embeddings(torch.float64)[:4]
    near = rows.clone()
    near[3] = rows[3] + 1e3  # too far to count among the others, and alone in its class
    loss = SupervisedContrastiveLoss(0.5)
    with_stranger = loss(near, torch.tensor([0, 0, 0, 1]))
    assert float(with_stranger) == pytest.approx(float(loss(near[:3], torch.tensor([0, 0, 0]))))


def test_supervised_contrastive_takes_soft_labels():
    rows, labels, loss = embeddings(torch.float64), torch.tensor(LABELS), SupervisedContrastiveLoss(0.5)
    certain = torch.nn.functional.one_hot(labels).double()
    assert float(loss(rows, certain)) == pytest.approx(float(loss(rows, labels)))
    # Three faces of which the third is half a partner of each of the others.
    half = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    logits = -torch.cdist(rows[:3], rows[:3]).square() / (2 * 0.5)
    share = [[float(logits[i, j] - torch.logsumexp(logits[i, [a for a in range(3) if a != i]], 0)) for j in range(3)]
             for i in range(3)]
    expected = mean([
        -(share[0][1] + 0.5 * share[0][2]) / 1.5, -(share[1][0] + 0.5 * share[1][2]) / 1.5,
        -(share[2][0] + share[2][1]) / 2,
    ])
    assert float(loss(rows[:3], half)) == pytest.approx(expected)


ALL_LOSSES = [
    ContrastiveLoss(1.0), ContrastiveLoss(1.0, "balanced"), ContrastiveLoss(1.0, "active"),
    ContrastiveLoss(1.0, hard=True), TripletLoss(0.5), TripletLoss(0.5, hard=True), QuadrupletLoss(0.5, 0.2),
    SupervisedContrastiveLoss(0.1),
]


def name_of(loss):
    return f"{type(loss).__name__}-{getattr(loss, 'reduction', '')}-{getattr(loss, 'hard', '')}"


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=name_of)
@pytest.mark.parametrize(
    "labels", [LABELS, [0] * 8, list(range(8)), [0] * 7 + [1]], ids=["mixed", "one class", "all differ", "one alone"]
)
def test_gradients_are_finite_even_when_all_faces_coincide(loss: DistanceLoss, labels):
    rows = torch.ones(8, 5, requires_grad=True)
    loss(rows, torch.tensor(labels)).backward()
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize(
    "loss, expected",
    [
        (ContrastiveLoss(2.0), 4 / 6 * 2.0**2 / 2), (ContrastiveLoss(2.0, "balanced"), 2.0**2 / 2),
        (ContrastiveLoss(2.0, hard=True), 1 / 2 * 2.0**2 / 2),
        (TripletLoss(0.5), 0.5), (TripletLoss(0.5, hard=True), 0.5),
    ],
    ids=str,
)
def test_faces_that_coincide_have_no_distance(loss, expected):
    assert float(loss(torch.ones(4, 5), torch.tensor([0, 0, 1, 1]))) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [ContrastiveLoss(1.0, hard=True), TripletLoss(0.5, hard=True)], ids=str)
@pytest.mark.parametrize("labels", [[0] * 8, list(range(8))], ids=["no other class", "no partner"])
def test_a_face_without_partner_or_stranger_gives_no_hardest_ones(loss, labels):
    assert float(loss(embeddings(), torch.tensor(labels))) == 0


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=name_of)
def test_a_step_down_the_gradient_lowers_the_loss(loss: DistanceLoss):
    rows = embeddings(torch.float64).requires_grad_()
    before = loss(rows, torch.tensor(LABELS))
    before.backward()
    after = loss(rows.detach() - 1e-4 * rows.grad, torch.tensor(LABELS))
    assert float(after.detach()) < float(before.detach())


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=name_of)
def test_autocast_does_not_round_distances(loss: DistanceLoss):
    rows, labels = embeddings(), torch.tensor(LABELS)
    exact = loss(rows, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss(rows, labels)
    assert mixed.dtype == torch.float32
    assert float(mixed) == float(exact)


def test_the_configuration_chooses_the_loss_and_its_numbers():
    rows, labels = embeddings(), torch.tensor(LABELS)
    for config, loss in [
        (LossConfig(margin=1.5, reduction="balanced"), ContrastiveLoss(1.5, "balanced")),
        (LossConfig(name="triplet", margin=0.7, mining="hard"), TripletLoss(0.7, hard=True)),
        (LossConfig(name="quadruplet", margin=0.7, second_margin=0.1, mining="hard"), QuadrupletLoss(0.7, 0.1)),
        (LossConfig(name="supervised_contrastive", temperature=0.3), SupervisedContrastiveLoss(0.3)),
    ]:
        assert float(make_loss(config)(rows, labels)) == float(loss(rows, labels))
