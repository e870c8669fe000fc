"""The paper's emotion-growth protocol: start from two emotions, add one at a time, stop when k-NN confuses them.

1. Ranking: one network is trained on all emotions; the mean embedding distance between the faces of two emotions says
   how similar they are.
2. Starts: the most similar pair, the middling one and the most different one.
3. Growth: for each start, a network is trained from scratch on its emotions and judged by k-NN. While its top-1 reaches
   the limit, the next emotion joins: for the similar start the one nearest to those present, for the different start
   the farthest, for the middling start the median one. Every network has the same configuration, so the same budget.
"""
from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.whole_files import write_atomically
from siamese_emotion_ros.training.config import ConfigError, TrainingConfig
from siamese_emotion_ros.training.data import TrainingData
from siamese_emotion_ros.training.train import CONFIG, MODEL, TrainingResult, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STARTS = ("similar", "middling", "different")
STATE, TABLE, PLOT = "growth.json", "growth.csv", "growth.png"

#: Faces of each emotion whose mean distances rank the pairs.
RANKED_FACES = 200


class Interrupted(Exception):
    """The user stopped the current run; the protocol continues it when it is started again."""


@dataclass(frozen=True)
class Stage:
    """One trained network of the protocol: which emotions it was asked to tell apart, and how well it did."""

    start: str
    classes: Tuple[str, ...]
    top1: float
    macro_f1: float
    one_vs_rest: float
    best_epoch: int
    model: str


@dataclass
class GrowthState:
    """What is known so far: distances between emotions [(one, other, mean distance)], nearest first, and stages."""

    config: str
    stop_below: float
    ranking: List[Tuple[str, str, float]] = field(default_factory=list)
    stages: List[Stage] = field(default_factory=list)

    def of_start(self, start: str) -> List[Stage]:
        """The stages of one start, in the order in which they grew."""
        return [stage for stage in self.stages if stage.start == start]


class Growth:
    """Runs the protocol in a folder. Every finished step is in growth.json; `run` continues where an earlier one ended.

    `prepare` gives the data of a configuration; it is called once for each network, with that network's classes in
    config.data.classes.
    """

    def __init__(
        self,
        config: TrainingConfig,
        prepare: Callable[[TrainingConfig], TrainingData],
        folder: Path,
        stop_below: float = 0.7,
        starts: Sequence[str] = STARTS,
        progress_bar: bool = True,
    ) -> None:
        """ConfigError when the folder holds another protocol, or the configuration cannot be grown."""
        if len(config.classes) < 3:
            raise ConfigError(f"data.classes names {len(config.classes)} emotions: growing needs at least three")
        if config.trainer.devices * config.trainer.num_nodes > 1:
            raise ConfigError("the protocol trains its many small networks in one process: set trainer.devices=1")
        if config.loss.name == "quadruplet" or config.sampling.scheme == "classes_by_images":
            raise ConfigError("the protocol starts from two classes: use another loss than quadruplet, "
                              "and another sampling.scheme than classes_by_images")
        if config.validation.every_epochs > config.trainer.epochs:
            raise ConfigError(
                f"validation.every_epochs is {config.validation.every_epochs}, and trainer.epochs "
                f"{config.trainer.epochs}: networks are judged by their best epoch; set validation.every_epochs=1"
            )
        unknown = [start for start in starts if start not in STARTS]
        if unknown or not starts:
            raise ConfigError(f"starts are {list(starts)}: expected some of {', '.join(STARTS)}")
        if not 0 < stop_below < 1:
            raise ConfigError(f"stop-below is {stop_below}: expected a share between 0 and 1, such as 0.7")
        self._config = config
        self._prepare = prepare
        self._folder = folder
        self._starts = tuple(start for start in STARTS if start in starts)
        self._progress_bar = progress_bar
        self.state = _open_state(folder, config, stop_below)

    def run(self, report: Callable[[str], None] = lambda line: None) -> GrowthState:
        """Run the protocol to its end and write the table and the plot after each stage.

        `report` is called with what is being done. Raises Interrupted after a Ctrl-C or TERM.
        """
        if not self.state.ranking:
            report(f"ranking pairs of {', '.join(self._config.classes)}")
            self.state.ranking = self._rank()
            self._save()
        for start in self._starts:
            while True:
                classes = next_classes(self.state, start, self._config.classes)
                if classes is None:
                    break
                report(f"{start}: {', '.join(classes)}")
                self.state.stages.append(self._train_stage(start, classes))
                report(f"{start}: top-1 {self.state.stages[-1].top1:.3f}")
                self._save()
        return self.state

    def _rank(self) -> List[Tuple[str, str, float]]:
        data = self._prepare(self._config)
        self._train(self._config, data, self._folder / "ranking")
        model = EmbeddingModel.load(self._folder / "ranking" / MODEL)
        labels = data.labels.numpy()
        embeddings = []
        for label in range(len(data.classes)):
            rows = data.val[labels[data.val] == label][:RANKED_FACES]
            if len(rows) == 0:
                raise ConfigError(f"no validation face of {data.classes[label]}: leave it out of data.classes")
            embeddings.append(model.embed(list(data.faces[rows, 0].numpy())))
        return rank_pairs(embeddings, data.classes)

    def _train_stage(self, start: str, classes: Tuple[str, ...]) -> Stage:
        changed = dataclasses.replace(self._config.data, classes=",".join(classes))
        config = dataclasses.replace(self._config, data=changed)
        folder = self._folder / f"{start}-{'-'.join(classes)}"
        result = self._train(config, self._prepare(config), folder)
        assert result.best_epoch is not None
        best = next(row for row in result.history if row["epoch"] == result.best_epoch)
        return Stage(
            start, classes, best["val_top1"], best["val_macro_f1"], best["val_one_vs_rest"], result.best_epoch,
            str((folder / MODEL).relative_to(self._folder)),
        )

    def _train(self, config: TrainingConfig, data: TrainingData, folder: Path) -> TrainingResult:
        started_before = (folder / CONFIG).is_file()
        result = train(config, data, folder, resume=started_before, progress_bar=self._progress_bar)
        if not result.finished:
            raise Interrupted
        return result

    def _save(self) -> None:
        state = dataclasses.asdict(self.state)
        write_atomically(self._folder / STATE, json.dumps(state, indent=1).encode())
        if self.state.stages:
            write_atomically(self._folder / TABLE, _table(self.state))
            write_atomically(self._folder / PLOT, _plot(self.state))


def rank_pairs(embeddings: Sequence[np.ndarray], classes: Sequence[str]) -> List[Tuple[str, str, float]]:
    """All pairs of classes with the mean distance between their embeddings ([N_c, D] each), the most similar first."""
    ranking = []
    for (one, name), (other, other_name) in itertools.combinations(list(zip(embeddings, classes)), 2):
        squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
        ranking.append((name, other_name, float(np.sqrt(np.maximum(squares, 0)).mean())))
    return sorted(ranking, key=lambda pair: pair[2])


def next_classes(state: GrowthState, start: str, classes: Sequence[str]) -> Optional[Tuple[str, ...]]:
    """The emotions of the next stage of `start`; None when it fell below the limit or holds them all."""
    grown = state.of_start(start)
    pick = {"similar": 0.0, "middling": 0.5, "different": 1.0}[start]
    if not grown:
        one, other, _ = _at(state.ranking, pick)
        return (one, other)
    present = grown[-1].classes
    absent = [name for name in classes if name not in present]
    if grown[-1].top1 < state.stop_below or not absent:
        return None
    distances = {frozenset(pair[:2]): pair[2] for pair in state.ranking}
    mean = {name: np.mean([distances[frozenset((name, held))] for held in present]) for name in absent}
    return (*present, _at(sorted(absent, key=lambda name: mean[name]), pick))


def _at(ordered: Sequence[Any], share: float) -> Any:
    return ordered[round(share * (len(ordered) - 1))]


def _open_state(folder: Path, config: TrainingConfig, stop_below: float) -> GrowthState:
    path = folder / STATE
    fresh = GrowthState(config.fingerprint, stop_below)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        return fresh
    try:
        state = _read_state(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not the state of a protocol ({error}): choose another --output") from error
    if (state.config, state.stop_below) != (fresh.config, fresh.stop_below):
        raise ConfigError(
            f"{folder} holds a protocol with another configuration or limit: "
            "go on with the same, or choose another --output"
        )
    return state


def _read_state(values: Mapping[str, Any]) -> GrowthState:
    return GrowthState(
        config=values["config"],
        stop_below=values["stop_below"],
        ranking=[(str(one), str(other), float(distance)) for one, other, distance in values["ranking"]],
        stages=[Stage(**{**stage, "classes": tuple(stage["classes"])}) for stage in values["stages"]],
    )


def _table(state: GrowthState) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["start", "emotions", "classes", "top1", "macro_f1", "one_vs_rest", "reaches_limit"])
    for stage in state.stages:
        figures = [f"{value:.4f}" for value in (stage.top1, stage.macro_f1, stage.one_vs_rest)]
        reaches = "yes" if stage.top1 >= state.stop_below else "no"
        writer.writerow([stage.start, len(stage.classes), " ".join(stage.classes), *figures, reaches])
    return text.getvalue().encode()


def _plot(state: GrowthState) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for start, above in zip(STARTS, (False, False, True)):
        _draw_start(axes, start, state.of_start(start), above)
    axes.axhline(state.stop_below, color="gray", linestyle="--", linewidth=1)
    axes.annotate(
        f"limit {state.stop_below:.0%}", (0.99, state.stop_below), xycoords=("axes fraction", "data"), ha="right",
        va="bottom", color="gray", fontsize=8,
    )
    lowest = min([stage.top1 for stage in state.stages] + [state.stop_below])
    axes.set(xlabel="emotions", ylabel="top-1 by k-NN", title="Emotion growth", ylim=(max(0.0, lowest - 0.1), 1.0))
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title="start pair", loc="lower left")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def _draw_start(axes: Axes, start: str, stages: Sequence[Stage], above: bool) -> None:
    """One line; the legend names the first pair, a text beside each point who joined, where no other line runs."""
    if not stages:
        return
    counts = [len(stage.classes) for stage in stages]
    axes.plot(counts, [stage.top1 for stage in stages], marker="o", label=f"{start}: {' + '.join(stages[0].classes)}")
    for count, stage in zip(counts[1:], stages[1:]):
        axes.annotate(
            f"+ {stage.classes[-1]}", (count, stage.top1), textcoords="offset points", xytext=(0, 8 if above else -8),
            ha="center", va="bottom" if above else "top", fontsize=9,
        )
