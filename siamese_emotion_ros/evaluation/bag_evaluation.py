"""One evaluation of a recording from end to end: replay it, compare what was seen with the truth, report."""
from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from siamese_emotion_ros.bags.reading import Bag, BagError, Topic
from siamese_emotion_ros.evaluation.bag_answers import recorded_answers
from siamese_emotion_ros.evaluation.bag_observations import Observations
from siamese_emotion_ros.evaluation.bag_replay import Frame, Replay, first_stamp
from siamese_emotion_ros.evaluation.bag_report import bag_report, notices_of, render_bag_sections, render_bare_page
from siamese_emotion_ros.evaluation.bag_truth import Truth, read_truth, truth_topic
from siamese_emotion_ros.evaluation.measurement import Measurement, measure
from siamese_emotion_ros.evaluation.page import render_page
from siamese_emotion_ros.evaluation.report import build_report
from siamese_emotion_ros.faces.finder import FaceFinder
from siamese_emotion_ros.recognition.recognizer import Recognizer


class Replayed(NamedTuple):
    """A recording that was gone through: what was seen, the truth it is compared with, and the figures about both."""

    observations: Observations
    truth: Optional[Truth]
    figures: Dict[str, Any]


class Evaluated(NamedTuple):
    """The report, JSON-ready, and the measurement behind it where there was a truth."""

    report: Dict[str, Any]
    measurement: Optional[Measurement]

    def page(self, title: str, seed: int) -> str:
        """The report as one HTML page."""
        if self.measurement is None:
            return render_bare_page(self.report, title)
        return render_page(self.measurement, self.report, seed, render_bag_sections(self.report["bag"]))


def replay(
    bag: Bag, topic: Topic, finder: FaceFinder, recognizer: Recognizer, truth_name: Optional[str],
    each: Callable[[Frame], None],
) -> Replayed:
    """Go through the images of `topic`, and call `each` with every one and what was seen in it.

    `truth_name`: a topic or a CSV file (see bag_truth), or None. BagError when no image can be read, and as read_truth.
    """
    truth = None if truth_name is None else read_truth(truth_name, bag, first_stamp(bag, topic))
    observations = Observations()
    played = Replay(bag, topic, finder, recognizer)
    for frame in played.frames():
        observations.add(frame, truth)
        each(frame)
    if not observations.stamps:
        reason = next(iter(played.search.unreadable), "there is none")
        raise BagError(f"{bag.path}: none of the {topic.count} images on {topic.name} can be read: {reason}")
    truth_source = None if truth_name is None else truth_topic(truth_name, bag)
    figures: Dict[str, Any] = {
        "images": {
            "topic": topic.name, "type": topic.type, **observations.stream_figures(),
            "unreadable": dict(sorted(played.search.unreadable.items())), "jumps_back": played.search.jumps_back,
        },
        "faces": observations.face_figures(),
        "recorded": recorded_answers(bag, observations.stamps, observations.sightings, leave_out=truth_source),
        "damage": list(bag.damage),
    }
    return Replayed(observations, truth, figures)


def evaluate(
    replayed: Replayed, recognizer: Recognizer, title: str, truth_name: Optional[str], facts: Mapping[str, Any],
    seed: int = 0,
) -> Evaluated:
    """The report on a replayed recording; BagError when there is a truth and no face was seen at its times."""
    observations, truth, figures = replayed
    if truth is None:
        return Evaluated(bag_report(figures, None, notices_of(figures, {}, 0), facts), None)
    queries = observations.queries()
    notices = notices_of(figures, truth.ignored, len(queries.left_out))
    if not len(queries):
        raise BagError(
            f"no face was seen at a time for which {truth_name} names an emotion: do its times and the images' stamps "
            "belong together?"
        )
    foreign = {label: count for label, count in queries.counts().items() if count and label not in recognizer.classes}
    left_out = sum(foreign.values())
    if foreign:
        notices.append(
            f"{left_out} face(s) show {', '.join(foreign)}, which the gallery does not know, and are left out."
        )
    if left_out == len(queries):
        return Evaluated(bag_report(figures, None, notices, facts), None)
    measurement = measure(
        recognizer.model, recognizer.gallery, recognizer.settings, queries, seed, embeddings=observations.embeddings(),
    )
    evaluation = build_report(measurement, title, f"against {truth_name}", queries, facts, notices=notices)
    return Evaluated(bag_report(figures, evaluation, notices, facts), measurement)
