"""Classification heads: one learned beside the embedding, and the paper's second stage, learned after it."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_emotion_ros.recognition.artifacts import HEAD_BIAS, HEAD_WEIGHT, StoredModel, read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.training.config import HeadConfig, NetworkConfig, TrainingConfig
from siamese_emotion_ros.training.data import TrainingData
from siamese_emotion_ros.training.scoring import label_scores
from siamese_emotion_ros.training.train import MODEL, TrainingResult


def with_network_of_model(config: TrainingConfig) -> TrainingConfig:
    """`config` with the network section of the model in network.init_from, which a head must fit."""
    assert config.network.init_from is not None
    spec = read_model(config.network.init_from).spec
    network = NetworkConfig(
        architecture=spec.architecture,
        embedding_dim=spec.embedding_dim,
        input_size=spec.input_size,
        scaling=spec.scaling,
        init_from=config.network.init_from,
    )
    return dataclasses.replace(config, network=network)


def train_head(config: TrainingConfig, data: TrainingData, folder: Path) -> TrainingResult:
    """Learn a head over the frozen network of network.init_from and write both into folder/model.safetensors.

    The network's weights, and with them the model's fingerprint, stay as they are: galleries of the model keep fitting.
    The head of the epoch with the best validation score (`validation.monitor`) is kept.
    """
    assert config.network.init_from is not None
    stored = read_model(config.network.init_from)
    model = EmbeddingModel(stored, "cpu" if config.trainer.accelerator == "cpu" else "auto")
    embeddings = torch.from_numpy(model.embed(list(data.faces[:, 0].numpy())))
    head, history, best_epoch = fit_head(embeddings, data, config.head, config.validation.monitor, config.trainer.seed)
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = _write(stored, head, config, folder / MODEL, history[best_epoch])
    return TrainingResult(
        model=folder / MODEL,
        fingerprint=fingerprint,
        finished=True,
        best_epoch=best_epoch,
        best_score=history[best_epoch][f"val_{config.validation.monitor}"],
        history=history,
    )


def fit_head(
    embeddings: Tensor, data: TrainingData, config: HeadConfig, monitor: str, seed: int
) -> Tuple[nn.Linear, List[Dict[str, Any]], int]:
    """The best head over `embeddings` float32 [N, D] of data's faces, figures per epoch, and the best epoch.

    Learned over embeddings that are brought to zero mean and unit deviation, because their scale is arbitrary; the
    change of scale is then folded into the head, which takes embeddings as they are.
    """
    torch.manual_seed(seed)
    train, val = torch.from_numpy(data.train), torch.from_numpy(data.val)
    deviation, mean = torch.std_mean(embeddings[train], dim=0)
    deviation = deviation.clamp_min(1e-6 * float(deviation.max()) + 1e-12)
    scaled = (embeddings - mean) / deviation
    targets = data.labels if data.soft_labels is None else data.soft_labels
    head = nn.Linear(embeddings.shape[1], len(data.classes))
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    best = {name: value.clone() for name, value in head.state_dict().items()}
    history: List[Dict[str, Any]] = []
    best_epoch = 0
    for epoch in range(config.epochs):
        total = 0.0
        for rows in train[torch.randperm(len(train))].split(config.batch_size):
            loss = F.cross_entropy(head(scaled[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        with torch.inference_mode():
            decided = head(scaled[val]).argmax(dim=1)
        scores = label_scores(data.labels[val].numpy(), decided.numpy(), len(data.classes))
        figures = {f"val_{name}": value for name, value in scores.items()}
        history.append({"epoch": epoch, "train_loss": total / len(train), **figures})
        if epoch == 0 or scores[monitor] > history[best_epoch][f"val_{monitor}"]:
            best_epoch = epoch
            best = {name: value.clone() for name, value in head.state_dict().items()}
    with torch.no_grad():
        head.weight.copy_(best["weight"] / deviation)
        head.bias.copy_(best["bias"] - head.weight @ mean)
    return head, history, best_epoch


def _write(
    stored: StoredModel, head: nn.Linear, config: TrainingConfig, path: Path, figures: Dict[str, Any]
) -> str:
    state = {name: torch.from_numpy(np.array(weights)) for name, weights in stored.weights.items()}
    state.update({HEAD_WEIGHT: head.weight.detach(), HEAD_BIAS: head.bias.detach()})
    provenance = {
        **stored.spec.provenance,
        "head_config": config.fingerprint,
        **{f"head_{name}": f"{value:.4f}" for name, value in figures.items() if name.startswith("val_")},
    }
    spec = dataclasses.replace(stored.spec, head_classes=config.classes, provenance=provenance)
    # Weights in half precision stay so: written as float32 they would be another model.
    half = any(weights.dtype == np.float16 for weights in stored.weights.values())
    return write_model(path, state, spec, half)
