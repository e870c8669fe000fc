import copy
import dataclasses

import pytest
import torch
from torch import nn

from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.training.config import ConfigError, OptimizerConfig
from siamese_emotion_ros.training.module import SiameseModule
from siamese_emotion_ros.training.optimizers import ADAMW_SHARE, Muon, make_optimizer
from siamese_emotion_ros.training.train import train

MUON = OptimizerConfig(name="muon", lr=0.02, weight_decay=0.1)
with_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs torch 2.9, which brings Muon")


def small_network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 4, 1)
    layers = (first, nn.BatchNorm2d(8), nn.ReLU(), second, nn.Flatten(), nn.Linear(36, 2))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def follow(network, optimizer, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        inputs = torch.randn(6, 3, 5, 5, generator=generator)
        optimizer.zero_grad()
        network(inputs).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name, kind", [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_a_name_gives_its_optimiser(name, kind):
    frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    trained = nn.Parameter(torch.zeros(3))
    optimizer = make_optimizer(OptimizerConfig(name=name, lr=0.5, weight_decay=0.25), [frozen, trained])
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert group["params"] == [trained] and group["lr"] == 0.5 and group["weight_decay"] == 0.25


@with_muon
def test_muon_moves_filters_by_the_orthogonal_gradient_and_the_rest_by_adamw():
    network = small_network()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    optimizer = make_optimizer(dataclasses.replace(MUON, weight_decay=0.0), network.parameters())
    follow(network, optimizer, 1)
    moved = {name: weight.detach() - before[name] for name, weight in network.named_parameters()}
    for name in ("0.weight", "3.weight"):
        rows = moved[name].flatten(1)
        lengths = torch.linalg.svdvals(rows / (0.02 * max(1.0, rows.shape[0] / rows.shape[1]) ** 0.5))
        # Five Newton-Schulz steps in bfloat16 bring every singular value near 1 and none to it.
        assert ((lengths > 0.5) & (lengths < 1.5)).all()
    # The first step of AdamW is the sign of the gradient.
    torch.testing.assert_close(moved["5.weight"].abs(), torch.full((2, 36), 0.02 * ADAMW_SHARE), rtol=1e-3, atol=0)


@with_muon
def test_decay_is_of_filters_alone():
    network = small_network()
    optimizer = make_optimizer(MUON, network.parameters())
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in network.named_parameters():
        share = 1 - 0.02 * 0.1 if weight.dim() == 4 else 1.0
        torch.testing.assert_close(weight.detach(), share * before[name])


@with_muon
def test_a_restored_optimiser_goes_on_as_the_first_would_have():
    network, other = small_network(), small_network()
    optimizer = make_optimizer(MUON, network.parameters())
    follow(network, optimizer, 3)
    optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = 0.01, 0.003
    other.load_state_dict(network.state_dict())
    restored = make_optimizer(MUON, other.parameters())
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for trained, by in ((network, optimizer), (other, restored)):
        follow(trained, by, 2, seed=1)
    for mine, theirs in zip(network.parameters(), other.parameters()):
        assert torch.equal(mine, theirs)


@with_muon
@pytest.mark.parametrize("resting", [0, 1], ids=["filters", "other weights"])
def test_a_schedule_that_changes_a_rate_changes_the_steps(resting):
    network = small_network()
    before = [weight.detach().clone() for weight in network.parameters()]
    optimizer = make_optimizer(MUON, network.parameters())
    optimizer.param_groups[resting]["lr"] = 0.0
    follow(network, optimizer, 1)
    moved = {weight.dim() == 4: not torch.equal(weight, old) for weight, old in zip(network.parameters(), before)}
    assert moved == {True: resting == 1, False: resting == 0}


@with_muon
def test_a_closure_is_evaluated_with_gradients_before_the_step():
    network = small_network()
    optimizer = Muon(list(network.parameters()), 0.02, 0.0)

    def closure():
        loss = network(torch.ones(2, 3, 5, 5)).square().mean()
        loss.backward()
        return loss

    before = network[0].weight.detach().clone()
    assert optimizer.step(closure).item() > 0
    assert not torch.equal(network[0].weight, before)


@with_muon
def test_every_registered_network_shows_its_filters_as_matrices():
    for name in ("compact", "compact_wide", "compact_large", "paper"):
        network = build_network(name, 48, 16).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(MUON, network.parameters())
        filters = optimizer.param_groups[0]["params"]
        assert len(filters) == sum(isinstance(layer, nn.Conv2d) for layer in network.modules())


@with_muon
def test_muon_without_filters_is_refused():
    with pytest.raises(ConfigError, match="for networks with convolutions .*: use adamw"):
        make_optimizer(MUON, nn.Linear(3, 2).parameters())


def test_muon_of_an_older_torch_is_refused(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(ConfigError, match="needs torch 2.9 or newer, this is .*: use adamw"):
        make_optimizer(MUON, small_network().parameters())


OVERRIDES = ("network.architecture=compact", "network.input_size=32", "optimizer.name=muon", "optimizer.lr=0.02",
             "optimizer.gradient_clip=1.0", "trainer.precision=bf16-mixed")


class Killed(BaseException):
    pass


@with_muon
@pytest.mark.parametrize("call", [3, 7])
def test_a_run_with_muon_cut_anywhere_goes_on_to_the_same_end(tiny, tmp_path, monkeypatch, call):
    data = tiny.make_data()
    larger = data.faces.repeat_interleave(2, 2).repeat_interleave(2, 3)
    data = dataclasses.replace(data, faces=larger)

    def run(folder, resume=False):
        return train(tiny.make_config(*OVERRIDES), data, tmp_path / folder, resume=resume, progress_bar=False)

    expected = run("unbroken")
    losses = [row["train_loss"] for row in expected.history]
    assert losses[-1] < losses[0]
    original, calls = SiameseModule.training_step, []

    def cut(self, *args, **kwargs):
        calls.append(None)
        if len(calls) == call:
            raise Killed
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(SiameseModule, "training_step", cut)
        with pytest.raises(Killed):
            run("cut")
    assert run("cut", resume=True).fingerprint == expected.fingerprint
