import json

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.nodes.recorder import Recording, RecordingError, Seen, Thinning, stretches


def picture(number, size=(90, 160)):
    return np.full((*size, 3), number % 250, np.uint8)


def seen(face_id, label, area=100, latency_ms=10.0):
    return Seen(face_id=face_id, label=label, confidence=0.5, area=area, latency_ms=latency_ms)


def test_a_recording_leaves_a_video_a_sheet_and_a_summary(tmp_path):
    recording = Recording(tmp_path / "new" / "out", rate=25.0)
    for number in range(60):
        faces = [] if number < 10 else [seen(1, "fear", 50), seen(2, "happiness", 900, latency_ms=float(number))]
        recording.add(picture(number), faces, answered=number != 5)
    summary = recording.finish({"stamps_equal": True})
    assert summary == json.loads((tmp_path / "new" / "out" / "summary.json").read_text())
    assert (summary["frames"], summary["frames_with_face"], summary["frames_unanswered"]) == (60, 50, 1)
    assert summary["face_ids"] == [1, 2]
    assert summary["labels"] == [None] * 10 + ["happiness"] * 50
    latencies = [10.0] * 50 + [float(number) for number in range(10, 60)]
    assert summary["latency_ms"]["p50"] == pytest.approx(np.percentile(latencies, 50), abs=0.01)
    assert summary["latency_ms"]["p99"] == pytest.approx(np.percentile(latencies, 99), abs=0.01)
    assert summary["stamps_equal"] is True
    video = cv2.VideoCapture(str(recording.folder / summary["video"]))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(25.0)
    assert sum(1 for _ in iter(lambda: video.read()[0], False)) == 60
    assert cv2.imread(str(recording.folder / summary["contact_sheet"])).shape[1] > 500


def test_nothing_recorded_is_a_summary_without_pictures(tmp_path):
    summary = Recording(tmp_path, 10.0).finish({})
    assert (summary["frames"], summary["labels"], summary["video"], summary["latency_ms"]["p50"]) == (0, [], None, None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["summary.json"]


def test_frames_of_another_size_are_fitted_into_the_video(tmp_path):
    recording = Recording(tmp_path, 10.0)
    for size in ((90, 160), (300, 300), (31, 57)):
        recording.add(picture(200, size), [])
    video = cv2.VideoCapture(str(tmp_path / recording.finish({})["video"]))
    assert [video.read()[1].shape for _ in range(3)] == [(90, 160, 3)] * 3


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="--output"):
        Recording(tmp_path / "file" / "out", 10.0)


@pytest.mark.parametrize("length", [1, 5, 24, 25, 100, 1000, 4711])
def test_thinning_keeps_the_wanted_number_in_even_steps(length):
    thinning, made = Thinning(24), []
    for number in range(length):
        thinning.offer(lambda number=number: made.append(number) or number)
    kept = thinning.kept
    assert len(kept) == min(24, length)
    assert kept[0] == 0 and kept == sorted(set(kept))
    if length > 24:
        steps = np.diff(kept)
        assert steps.max() <= 1 + 1.4 * length / 24 and steps.min() >= 0.6 * length / 24 - 1
    assert len(made) <= min(length, 24 * 6 * 8)


def test_stretches_are_runs_of_equal_labels():
    assert stretches(["a", "a", None, "a", "b"]) == [("a", 0, 1), (None, 2, 2), ("a", 3, 3), ("b", 4, 4)]
    assert stretches([]) == []
