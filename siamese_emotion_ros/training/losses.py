"""Losses over distances between embeddings: small distances within a class, large ones between classes."""
from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from siamese_emotion_ros.training.config import LossConfig


def squared_distances(embeddings: Tensor) -> Tensor:
    """D^2 between all embeddings [N, D], as [N, N].

    The product form |a|^2 + |b|^2 - 2ab loses digits when embeddings lie far from the origin; distances do not depend
    on the origin, so the embeddings are centred on it first.
    """
    centered = embeddings - embeddings.detach().mean(dim=0)
    squares = centered.pow(2).sum(dim=1)
    return (squares[:, None] + squares[None, :] - 2 * centered @ centered.T).clamp_min(0)


def safe_sqrt(squares: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0: two equal embeddings have no direction in which to move apart."""
    positive = squares > 0
    return torch.where(positive, squares, torch.ones_like(squares)).sqrt() * positive


def mean_or_zero(values: Tensor) -> Tensor:
    """The mean, or a 0 that still has a gradient when there is nothing to average (a batch of one class)."""
    return values.sum() / max(values.numel(), 1)


class DistanceLoss(nn.Module):
    """A loss over the distances of one batch.

    `forward` takes embeddings [N, D], labels int64 [N] (or float [N, C], where `takes_soft_labels`) and, when the
    sampler drew them, rows int64 [M, r] of the batch that belong together; it returns a scalar. Half-precision
    embeddings are measured in float32 whatever autocast says: a difference of large squares has no digits left in half
    precision.
    """

    takes_soft_labels = False

    def forward(self, embeddings: Tensor, labels: Tensor, rows: Optional[Tensor] = None) -> Tensor:
        """The loss of a batch; without `rows`, over the tuples that the batch itself offers."""
        with torch.autocast(embeddings.device.type, enabled=False):
            if embeddings.dtype in (torch.float16, torch.bfloat16):
                embeddings = embeddings.float()
            if rows is None:
                return self.of_batch(embeddings, labels)
            return self.of_rows([embeddings[rows[:, column]] for column in range(rows.shape[1])], labels[rows])

    def of_batch(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss over tuples formed among all embeddings of a batch."""
        raise NotImplementedError

    def of_rows(self, members: list[Tensor], labels: Tensor) -> Tensor:
        """The loss over given tuples: `members` holds r tensors [M, D], `labels` is [M, r]."""
        raise NotImplementedError


class ContrastiveLoss(DistanceLoss):
    """Contrastive loss, equation 3 of the paper (Hadsell et al. 2006):

        L(a, b) = (1 - y) D^2 / 2 + y max(0, m - D)^2 / 2,    y = 0 for one class, 1 for two,  D = |a - b|

    over all unordered pairs of a batch, or those given. `reduction` makes them one number:

    - `mean`: the mean over all pairs; with C classes, about one pair in C pulls and the others push;
    - `balanced`: the mean over pairs of one class plus the mean over pairs of two;
    - `active`: as `balanced`, but the second mean is over those pairs only that are nearer than the margin.

    `hard` keeps, for each face, its farthest partner of the same class and its nearest of another.
    """

    def __init__(self, margin: float, reduction: str = "mean", hard: bool = False) -> None:
        super().__init__()
        self.margin = margin
        self.reduction = reduction
        self.hard = hard

    def of_batch(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        squares = squared_distances(embeddings)
        same = labels[:, None] == labels[None, :]
        if self.hard:
            anchors, positives, negatives = hardest(squares, labels)
            return self._reduce(squares[anchors, positives], squares[anchors, negatives])
        upper = torch.ones_like(same).triu(diagonal=1)
        return self._reduce(squares[same & upper], squares[~same & upper])

    def of_rows(self, members: list[Tensor], labels: Tensor) -> Tensor:
        squares = (members[0] - members[1]).pow(2).sum(dim=1)
        same = labels[:, 0] == labels[:, 1]
        return self._reduce(squares[same], squares[~same])

    def _reduce(self, same_squares: Tensor, other_squares: Tensor) -> Tensor:
        pull = same_squares / 2
        push = (self.margin - safe_sqrt(other_squares)).clamp_min(0).pow(2) / 2
        if self.reduction == "mean":
            return mean_or_zero(torch.cat([pull, push]))
        if self.reduction == "active":
            return mean_or_zero(pull) + push.sum() / (push > 0).sum().clamp_min(1)
        return mean_or_zero(pull) + mean_or_zero(push)


class TripletLoss(DistanceLoss):
    """Triplet loss (Schroff et al. 2015, with plain distances as in Hermans et al. 2017):

        L(a, p, n) = max(0, D(a, p) - D(a, n) + m)

    for an anchor a, a positive p of its class and a negative n of another; the mean over all triplets of a batch, over
    the hardest of each anchor (`hard`), or over those given.
    """

    def __init__(self, margin: float, hard: bool = False) -> None:
        super().__init__()
        self.margin = margin
        self.hard = hard

    def of_batch(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        squares = squared_distances(embeddings)
        if self.hard:
            anchors, positives, negatives = hardest(squares, labels)
            return self._mean(safe_sqrt(squares[anchors, positives]), safe_sqrt(squares[anchors, negatives]))
        distances = safe_sqrt(squares)
        same = labels[:, None] == labels[None, :]
        partners = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        anchors, positives = partners.nonzero(as_tuple=True)
        # One row of negatives for each pair of anchor and positive: [pairs, N] instead of a list of triplets.
        losses = (distances[anchors, positives][:, None] - distances[anchors] + self.margin).clamp_min(0)
        wanted = ~same[anchors]
        return (losses * wanted).sum() / wanted.sum().clamp_min(1)

    def of_rows(self, members: list[Tensor], labels: Tensor) -> Tensor:
        anchors, positives, negatives = members
        return self._mean(_distance(anchors, positives), _distance(anchors, negatives))

    def _mean(self, near: Tensor, far: Tensor) -> Tensor:
        return mean_or_zero((near - far + self.margin).clamp_min(0))


class QuadrupletLoss(DistanceLoss):
    """Quadruplet loss (Chen et al. 2017), with plain distances:

        L(a, p, n, o) = max(0, D(a, p) - D(a, n) + m1) + max(0, D(a, p) - D(n, o) + m2)

    for an anchor a, a positive p of its class, and n and o of two further, different classes: a pair of one class
    should also be closer than any pair of two other classes. The mean over the hardest of each anchor in a batch (its
    farthest positive, its nearest negative, the nearest pair of two other classes) or over the quadruplets given.
    """

    def __init__(self, margin: float, second_margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.second_margin = second_margin

    def of_batch(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        squares = squared_distances(embeddings)
        anchors, positives, negatives = hardest(squares, labels)
        near = safe_sqrt(squares[anchors, positives])
        far = safe_sqrt(squares[anchors, negatives])
        first = (near - far + self.margin).clamp_min(0)
        different = labels[:, None] != labels[None, :]
        second = near.new_zeros(len(near))
        # The nearest pair of two other classes depends on the anchor's class alone.
        for label in labels.unique():
            of_class = labels[anchors] == label
            others = different & (labels != label)[:, None] & (labels != label)[None, :]
            if others.any() and of_class.any():
                apart = safe_sqrt(squares[others].min())
                second = torch.where(of_class, (near - apart + self.second_margin).clamp_min(0), second)
        return mean_or_zero(first + second)

    def of_rows(self, members: list[Tensor], labels: Tensor) -> Tensor:
        anchors, positives, negatives, others = members
        near = _distance(anchors, positives)
        first = (near - _distance(anchors, negatives) + self.margin).clamp_min(0)
        second = (near - _distance(negatives, others) + self.second_margin).clamp_min(0)
        return mean_or_zero(first + second)


class SupervisedContrastiveLoss(DistanceLoss):
    """Supervised contrastive loss (Khosla et al. 2020, equation 2) of the distance that k-NN uses:

        L(i) = -mean over p of log( exp(-D(i, p)^2 / 2t) / sum over a of exp(-D(i, a)^2 / 2t) )

    p runs over the other faces of i's class, a over all other faces; the mean over every i that has a p. On unit
    vectors D^2 / 2 = 1 - cos, so there it is exactly the published loss; off the sphere it still ranks by
    Euclidean distance, as the recogniser does.

    Labels may also be soft, float [N, C]: then every other face is a p, and the mean is weighted by the probability
    q_i . q_p that both show the same emotion. With all of each face's probability on one class that is the loss above.
    """

    takes_soft_labels = True

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def of_batch(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        if labels.dim() == 1:
            alike = (labels[:, None] == labels[None, :]).to(embeddings)
        else:
            alike = labels.to(embeddings) @ labels.to(embeddings).T
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        logits = -squared_distances(embeddings) / (2 * self.temperature)
        log_shares = logits - logits.masked_fill(itself, float("-inf")).logsumexp(dim=1, keepdim=True)
        partners = alike.masked_fill(itself, 0)
        weights = partners.sum(dim=1)
        has_partner = weights > 0
        per_face = -(log_shares.masked_fill(itself, 0) * partners).sum(dim=1) / torch.where(has_partner, weights, 1)
        # Not per_face[has_partner]: its length would be known only once the GPU has finished.
        return per_face.sum() / has_partner.sum().clamp_min(1)


def hardest(squares: Tensor, labels: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Rows (anchors, positives, negatives) int64 [M]: for each anchor of a batch that has both, its farthest face of
    the same class and its nearest of another. `squares` [N, N], `labels` [N]."""
    same = labels[:, None] == labels[None, :]
    partners = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    with torch.no_grad():
        positives = squares.masked_fill(~partners, float("-inf")).argmax(dim=1)
        negatives = squares.masked_fill(same, float("inf")).argmin(dim=1)
        anchors = (partners.any(dim=1) & ~same.all(dim=1)).nonzero().squeeze(1)
    return anchors, positives[anchors], negatives[anchors]


def make_loss(config: LossConfig) -> DistanceLoss:
    """The loss that a configuration names."""
    hard = config.mining == "hard"
    makers: Dict[str, Callable[[], DistanceLoss]] = {
        "contrastive": lambda: ContrastiveLoss(config.margin, config.reduction, hard),
        "triplet": lambda: TripletLoss(config.margin, hard),
        "quadruplet": lambda: QuadrupletLoss(config.margin, config.second_margin),
        "supervised_contrastive": lambda: SupervisedContrastiveLoss(config.temperature),
    }
    return makers[config.name]()


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return safe_sqrt((one - other).pow(2).sum(dim=1))
