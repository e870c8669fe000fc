"""A training run as checked, immutable values: which data, network, loss, batches, and where and how long it runs."""
from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import yaml

from siamese_emotion_ros.recognition.artifacts import MAX_BYTES
from siamese_emotion_ros.recognition.emotions import parse_label_set
from siamese_emotion_ros.recognition.networks import NETWORKS, is_quantized, weight_shapes
from siamese_emotion_ros.recognition.preprocessing import SCALINGS

#: Loss names and the tuples of faces that each is computed over.
LOSSES = ("contrastive", "triplet", "quadruplet", "supervised_contrastive")
SAMPLINGS = ("balanced", "classes_by_images", "pairs", "triplets", "quadruplets")


class ConfigError(ValueError):
    """A configuration that cannot be run; the message names the key, its value, what was expected and what to do."""


def option(
    default: Any,
    doc: str,
    low: Optional[float] = None,
    high: Optional[float] = None,
    choices: Optional[Sequence[str]] = None,
    several: bool = False,
) -> Any:
    """A field of a configuration section with its meaning and the values it may have (`low` and `high` included).

    A text that may name `several` things, separated by commas, may be written as a list, too.
    """
    metadata = {
        "doc": doc, "low": low, "high": high, "choices": tuple(choices) if choices else None, "several": several,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DataConfig:
    """Which faces are learned from."""

    dataset: str = option("fer2013", "data set", choices=("fer2013", "ckplus", "kdef", "folder"))
    root: Optional[str] = option(None, "where your copy of the data set lies")
    options: Mapping[str, Any] = option({}, "further options of the data set's loader")
    classes: str = option("seven", "label set (a, b, seven, eight) or emotions such as 'anger,happiness,neutral'",
                          several=True)
    split: str = option("official", "how the data set is split into train, val and test")
    split_seed: int = option(0, "seed of the split, as the --seed of evaluate and gallery build", low=0, high=2**31 - 1)
    votes: float = option(0.0, "share of the voters' distribution (FER+) in the labels learned from; 0 = single labels",
                          low=0.0, high=1.0)
    agreement: Optional[float] = option(
        None, "where such a share of the FER+ voters agrees (0.7: seven of ten), their votes alone are learned",
        low=0.0, high=1.0,
    )
    limit: Optional[int] = option(None, "train on at most this many images, drawn by the seed", low=2)

    @property
    def asks_voters(self) -> bool:
        """Whether any face is learned by what FER+'s voters say of it."""
        return self.votes > 0 or self.agreement is not None


@dataclass(frozen=True)
class NetworkConfig:
    """Which network turns a face into an embedding."""

    architecture: str = option("paper", "registered network")
    embedding_dim: int = option(2048, "length of an embedding", low=2, high=8192)
    input_size: int = option(48, "side of the square input in pixels", low=16, high=512)
    scaling: str = option("unit", "how grey values become floats", choices=SCALINGS)
    init_from: Optional[str] = option(None, "model file whose weights, and head, are carried over where shapes agree")


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    name: str = option("contrastive", "loss over distances", choices=LOSSES)
    margin: float = option(1.0, "distance that different classes are pushed apart to", low=1e-6, high=1e6)
    second_margin: float = option(0.5, "quadruplet: margin against pairs of two other classes", low=1e-6, high=1e6)
    reduction: str = option(
        "mean", "contrastive: how pairs become one number", choices=("mean", "balanced", "active")
    )
    mining: str = option("all", "tuples of a batch: every one or the hardest of each anchor", choices=("all", "hard"))
    temperature: float = option(0.1, "supervised contrastive and prototypes: temperature", low=1e-4, high=1e4)
    weight: float = option(1.0, "weight of the loss over distances", low=0.0)
    cross_entropy: float = option(0.0, "weight of cross-entropy on a classification head (0 = no head)", low=0.0)
    head: str = option("linear", "classification head: a linear layer, or a prototype per class on the unit sphere",
                       choices=("linear", "prototypes"))


@dataclass(frozen=True)
class DistillationConfig:
    """Finished models that are asked about the faces of each batch; the classification head learns their answers."""

    teachers: Optional[str] = option(None, "model files with a classification head over the classes", several=True)
    weight: float = option(0.5, "share of the teachers' mean probabilities in what the head learns from",
                           low=0.0, high=1.0)
    mirror: bool = option(True, "ask about the mirror image of each face, too: better answers in twice the time")


@dataclass(frozen=True)
class SamplingConfig:
    """How batches are drawn."""

    scheme: str = option("balanced", "what a batch consists of", choices=SAMPLINGS)
    batch_size: int = option(180, "faces in a batch of one process", low=2, high=65536)
    power: float = option(
        0.0, "class frequency: 0 = as in the data .. 1 = every class equally often; of tuples, that of their first "
        "face; none for classes_by_images", low=0, high=1,
    )
    classes_per_batch: int = option(5, "classes_by_images: classes in a batch", low=2)
    positive_share: float = option(0.5, "pairs: share of pairs of one class", low=0.0, high=1.0)
    steps_per_epoch: Optional[int] = option(None, "batches an epoch (default: each training face once)", low=1)


@dataclass(frozen=True)
class AugmentationConfig:
    """What is changed in a training face; every default leaves it as it is."""

    side: Optional[int] = option(
        None, "side of the faces that are changed, in pixels; the network sees them resized (default: its own)", low=8,
        high=512,
    )
    finer: float = option(0.0, "share of batches that are changed at the network's own side in spite of `side`",
                          low=0, high=1)
    flip: float = option(0.0, "probability of mirroring left and right", low=0, high=1)
    rotation: float = option(0.0, "largest rotation in degrees", low=0, high=180)
    scale: float = option(0.0, "largest relative change of size", low=0, high=0.9)
    translation: float = option(0.0, "largest shift, as a share of the side", low=0, high=1)
    brightness: float = option(0.0, "largest change of brightness, as a share of the full range", low=0, high=1)
    contrast: float = option(0.0, "largest relative change of contrast", low=0, high=1)
    gamma: float = option(0.0, "largest change of gamma, in octaves", low=0, high=3)
    exposure: float = option(0.0, "largest change of exposure, in octaves; too bright is white", low=0, high=3)
    noise: float = option(0.0, "largest deviation of added noise, as a share of the full range", low=0, high=1)
    blur: float = option(0.0, "largest deviation of a Gaussian blur in pixels", low=0, high=10)
    sharpen: float = option(0.0, "largest amount of an unsharp mask of one pixel, as cameras sharpen", low=0, high=5)
    cutout: float = option(0.0, "probability of covering a rectangle", low=0, high=1)
    mask: float = option(0.0, "probability of covering the lower or upper part, as a mask or hair does", low=0, high=1)
    low_resolution: float = option(0.0, "probability of halving or quartering the resolution", low=0, high=1)
    turn: float = option(0.0, "largest shift of the middle of a face against its edges, as a share of half the side",
                         low=0, high=0.5)
    jpeg: float = option(0.0, "probability of JPEG artefacts (quality 10 to 60)", low=0, high=1)
    untouched: float = option(0.0, "share of faces that are only moved: no change of light, sharpness or cover",
                              low=0, high=1)
    mixup: float = option(0.0, "share of faces that are blended with another, and their labels alike", low=0, high=1)


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights follow the gradient."""

    name: str = option("adam", "optimiser", choices=("adam", "adamw", "muon"))
    lr: float = option(1e-4, "learning rate (muon: of filters; 2e-2 is a start)", low=1e-9, high=10.0)
    weight_decay: float = option(0.0, "weight decay (adamw and muon: decoupled)", low=0.0, high=1.0)
    schedule: str = option("constant", "learning rate over the run", choices=("constant", "cosine"))
    warmup_steps: int = option(0, "steps over which the learning rate rises linearly", low=0)
    gradient_clip: Optional[float] = option(None, "largest norm of the gradient", low=1e-9)


@dataclass(frozen=True)
class ValidationConfig:
    """How a network is judged after an epoch: k-NN of validation faces among training anchors."""

    k: int = option(15, "neighbours that vote", low=1, high=1000)
    anchors: Optional[int] = option(3000, "training faces used as anchors (default: all)", low=1)
    queries: Optional[int] = option(None, "validation faces that are asked (default: all)", low=1)
    every_epochs: int = option(1, "epochs from one validation to the next", low=1)
    monitor: str = option("top1", "score that decides which epoch is best", choices=("top1", "macro_f1"))
    patience: Optional[int] = option(None, "stop after this many validations without a better score", low=1)


@dataclass(frozen=True)
class TrainerConfig:
    """Where and how long it runs."""

    epochs: int = option(100, "epochs", low=1, high=100000)
    seed: int = option(0, "seed of weights, batches and augmentation", low=0, high=2**31 - 1)
    precision: str = option("32-true", "arithmetic", choices=("32-true", "bf16-mixed", "16-mixed"))
    accelerator: str = option("auto", "hardware", choices=("auto", "cpu", "gpu"))
    devices: int = option(1, "processes on this machine, one a device", low=1, high=1024)
    num_nodes: int = option(1, "machines", low=1, high=1024)
    ema_decay: Optional[float] = option(None, "averaged weights: share kept at each step", low=0.0, high=0.999999)
    checkpoint_steps: int = option(100, "steps from one checkpoint to the next (also after every epoch)", low=1)
    export: str = option("best", "weights of model.safetensors: the best epoch's or the last", choices=("best", "last"))


@dataclass(frozen=True)
class HeadConfig:
    """The paper's second stage: a fully connected classification head over frozen embeddings."""

    epochs: int = option(50, "passes over the embeddings", low=1, high=100000)
    lr: float = option(1e-3, "learning rate", low=1e-9, high=10.0)
    weight_decay: float = option(1e-4, "weight decay", low=0.0, high=1.0)
    batch_size: int = option(256, "embeddings in a batch", low=1)


@dataclass(frozen=True)
class TrainingConfig:
    """One training run, complete: the same values, data and machine give the same weights."""

    stage: str = option("embedding", "what is trained: the network, or a head over its embeddings",
                        choices=("embedding", "head"))
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    distillation: DistillationConfig = dataclasses.field(default_factory=DistillationConfig)
    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    validation: ValidationConfig = dataclasses.field(default_factory=ValidationConfig)
    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    head: HeadConfig = dataclasses.field(default_factory=HeadConfig)

    def __post_init__(self) -> None:
        try:
            parse_label_set(self.data.classes)
        except ValueError as error:
            raise ConfigError(f"data.classes: {error}") from error
        _check_stage(self)
        _check_tuples(self)
        _check_class_counts(self)
        _check_network(self)
        _check_teachers(self)
        _check_augmentation(self)
        _check_votes(self)

    @property
    def classes(self) -> Tuple[str, ...]:
        """The canonical labels that are learned, in the order of the label set."""
        return parse_label_set(self.data.classes)

    @property
    def face_side(self) -> int:
        """Side of the faces that a run holds and augments, in pixels; its network may see them resized."""
        return self.augmentation.side or self.network.input_size

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every value that can change the weights (not over where the data lies)."""
        values = as_dict(self)
        del values["data"]["root"]
        return hashlib.sha256(yaml.safe_dump(values, sort_keys=True).encode()).hexdigest()


def as_dict(config: TrainingConfig) -> Dict[str, Any]:
    """Nested plain mappings of every value, as YAML takes them."""
    return dataclasses.asdict(config)


def _check_stage(config: TrainingConfig) -> None:
    if config.stage == "head" and config.network.init_from is None:
        raise ConfigError("stage head trains over a finished network: set network.init_from to its model.safetensors")
    if config.stage == "embedding" and config.loss.weight == 0 and config.loss.cross_entropy == 0:
        raise ConfigError(
            "loss.weight and loss.cross_entropy are both 0, so that nothing would be learned: set one of them above 0"
        )


def _check_tuples(config: TrainingConfig) -> None:
    """ConfigError where the loss cannot be computed over the pairs, triplets or quadruplets of a batch."""
    loss, sampling = config.loss, config.sampling
    tuples = {"pairs": ("contrastive", 2), "triplets": ("triplet", 3), "quadruplets": ("quadruplet", 4)}
    if sampling.scheme in tuples:
        name, size = tuples[sampling.scheme]
        if loss.name != name:
            raise ConfigError(
                f"sampling.scheme {sampling.scheme} goes with loss.name {name}, not {loss.name}: "
                "change one of them, or use sampling.scheme balanced"
            )
        if sampling.batch_size % size:
            raise ConfigError(
                f"sampling.batch_size is {sampling.batch_size}: expected a multiple of {size} for {sampling.scheme}"
            )
        if loss.mining == "hard":
            raise ConfigError(
                f"loss.mining hard needs whole batches: use sampling.scheme balanced, not {sampling.scheme}"
            )
    elif loss.name == "quadruplet" and loss.mining == "all":
        raise ConfigError(
            "loss.name quadruplet over every quadruplet of a batch is too many: "
            "set loss.mining=hard or sampling.scheme=quadruplets"
        )
    if loss.name == "supervised_contrastive" and loss.mining == "hard":
        raise ConfigError("loss.mining hard has no effect on loss.name supervised_contrastive: set loss.mining=all")


def _check_class_counts(config: TrainingConfig) -> None:
    """ConfigError where there are fewer classes than the loss or a batch needs."""
    sampling = config.sampling
    if config.loss.name == "quadruplet" and len(config.classes) < 3:
        raise ConfigError("loss.name quadruplet needs three classes: name more in data.classes or use triplet")
    if sampling.scheme != "classes_by_images":
        return
    if sampling.classes_per_batch > len(config.classes):
        raise ConfigError(
            f"sampling.classes_per_batch is {sampling.classes_per_batch}: data.classes names {len(config.classes)}"
        )
    if sampling.batch_size % sampling.classes_per_batch:
        raise ConfigError(
            f"sampling.batch_size is {sampling.batch_size}: "
            f"expected a multiple of sampling.classes_per_batch ({sampling.classes_per_batch})"
        )


def _check_network(config: TrainingConfig) -> None:
    architecture = config.network.architecture
    if architecture not in NETWORKS:
        raise ConfigError(
            f"network.architecture is {architecture!r}: expected one of {', '.join(sorted(NETWORKS))}"
        )
    if config.stage == "embedding" and is_quantized(architecture):
        raise ConfigError(
            f"network.architecture {architecture} is not trained: train compact, then make integers of "
            "it with `siamese-emotion quantize`"
        )
    _check_size(config.network)
    unit = [name for name, network in sorted(NETWORKS.items()) if getattr(network, "unit_length", False)]
    has_prototypes = config.stage == "embedding" and config.loss.cross_entropy > 0 and config.loss.head == "prototypes"
    if has_prototypes and architecture not in unit:
        raise ConfigError(
            f"loss.head prototypes lie on the unit sphere, where embeddings of {architecture} do not: "
            f"set network.architecture to one of {', '.join(unit)}, or loss.head=linear"
        )


def _check_teachers(config: TrainingConfig) -> None:
    asked = config.distillation
    if asked.teachers and config.loss.cross_entropy == 0:
        raise ConfigError(
            "distillation.teachers give probabilities, which the classification head learns from, but there is none: "
            "set loss.cross_entropy above 0"
        )
    is_asked = config.stage == "embedding" and asked.weight > 0 and asked != DistillationConfig()
    if is_asked and not asked.teachers:
        raise ConfigError(
            f"distillation.weight is {asked.weight:g}, but no teachers are named: "
            "set distillation.teachers=FILE[,FILE], or distillation.weight=0 to learn from labels alone"
        )


def _check_augmentation(config: TrainingConfig) -> None:
    augmentation, loss = config.augmentation, config.loss
    if augmentation.finer > 0 and augmentation.side is None:
        raise ConfigError(
            f"augmentation.finer is {augmentation.finer:g}, but all faces are changed at the network's side: "
            "set augmentation.side to the other one"
        )
    if augmentation.mixup > 0 and loss.weight > 0 and loss.name != "supervised_contrastive":
        raise ConfigError(
            f"augmentation.mixup gives faces of two emotions, of which loss.name {loss.name} knows nothing: "
            "set loss.name=supervised_contrastive, or loss.weight=0 to learn from loss.cross_entropy alone"
        )


def _check_votes(config: TrainingConfig) -> None:
    """ConfigError where FER+ votes are asked for that nothing learns from."""
    data, loss = config.data, config.loss
    learns_votes = loss.cross_entropy > 0 or loss.name == "supervised_contrastive"
    if config.stage == "embedding" and data.asks_voters and not learns_votes:
        raise ConfigError(
            f"data.votes or data.agreement asks for FER+ votes, but loss.name {loss.name} alone learns from single "
            "labels: set data.votes=0 and data.agreement=null, or loss.cross_entropy above 0"
        )
    if data.agreement is not None and data.votes == 1:
        raise ConfigError(
            f"data.agreement {data.agreement:g} has no effect where data.votes is 1: all faces are learned by the "
            "votes alone; set data.votes below 1, or data.agreement=null"
        )


def _check_size(network: NetworkConfig) -> None:
    """ConfigError for a network that cannot be built, or whose file nobody could read: said before it is trained."""
    try:
        shapes = weight_shapes(network.architecture, network.input_size, network.embedding_dim)
    except ValueError as error:
        raise ConfigError(f"network.{error}") from error
    size = 4 * sum(math.prod(shape) for shape in shapes.values())
    if size > MAX_BYTES:
        raise ConfigError(
            f"the weights of {network.architecture} with network.input_size {network.input_size} and "
            f"network.embedding_dim {network.embedding_dim} take {size} bytes, and a model file has at most "
            f"{MAX_BYTES}: make one of the two smaller"
        )
