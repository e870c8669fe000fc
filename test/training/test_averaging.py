from __future__ import annotations

import torch
from torch import nn

from siamese_emotion_ros.training.averaging import AveragedNetwork


def test_the_average_follows_by_its_formula_and_copies_counts():
    network = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    averaged = AveragedNetwork(network, decay=0.5)
    expected, expected_mean = network[0].weight.detach().clone(), 0.0
    for step in range(1, 12):
        with torch.no_grad():
            network[0].weight.add_(float(step))
        network[1].running_mean.fill_(step)
        network[1].num_batches_tracked.fill_(step)
        averaged.follow(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
        expected_mean = decay * expected_mean + (1 - decay) * step
    assert torch.allclose(averaged.network[0].weight, expected)
    assert not torch.allclose(expected, network[0].weight)
    assert abs(averaged.network[1].running_mean.item() - expected_mean) < 1e-5
    assert averaged.network[1].num_batches_tracked.item() == 11


def test_the_average_takes_no_gradient_and_stays_in_evaluation_mode():
    averaged = AveragedNetwork(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.9)), decay=0.5)
    averaged.train()
    inputs = torch.ones(50, 2)
    assert torch.equal(averaged.network(inputs), averaged.network(inputs)), "dropout is off"
    assert not any(weight.requires_grad for weight in averaged.parameters())
