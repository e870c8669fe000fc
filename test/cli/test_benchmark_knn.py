"""`siamese-emotion benchmark-knn` on small galleries: what it tells, never how fast it is."""
from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.evaluation.search_speed import N_CLASSES, made_up_embeddings


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark-knn", *map(str, arguments)], env={"COLUMNS": "120"})


@pytest.mark.parametrize("approximate", ["ivf", "hnsw"])
def test_every_size_is_measured_for_every_number_of_faces(tmp_path, approximate):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    output, table = tmp_path / "knn.json", tmp_path / "knn.csv"
    result = run("--sizes", "64,300", "--faces", "1,3", "--k", "5", "--dimensions", "16", "--repeats", "3",
                 "--approximate-from", "300", "--approximate", approximate, "--json", output, "--csv", table)
    assert result.exit_code == 0, result.output
    assert "exact / faiss" in result.output and f"{approximate}  recall" in result.output
    costs = json.loads(output.read_text())["costs"]
    assert [(cost["anchors"], cost["faces"]) for cost in costs] == [(64, 1), (64, 3), (300, 1), (300, 3)]
    for cost in costs:
        assert cost["exact_ms"] > 0 and cost["faiss_ms"] > 0 and cost["ratio"] > 0
        assert (cost["approximate_ms"] is None) == (cost["anchors"] == 64)
    header, *rows = table.read_text().splitlines()
    assert header == "anchors,faces,exact_ms,faiss_ms,ratio,memory,approximate_ms,recall"
    assert [row.split(",")[:2] for row in rows] == [["64", "1"], ["64", "3"], ["300", "1"], ["300", "3"]]
    # So few anchors have no cells: the approximate search misses none.
    assert [cost["recall"] for cost in costs] == [None, None, 1, 1]


@pytest.mark.parametrize(
    "arguments, reason",
    [(("--sizes", "5"), "5 anchors: at least 15 are needed"), (("--sizes", "many"), "--sizes is 'many'"),
     (("--faces", "0"), "--faces is '0'"), (("--approximate", "fast"), "expected ivf or hnsw")],
)
def test_sizes_that_cannot_be_are_refused(arguments, reason):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    result = run(*arguments)
    assert result.exit_code == 2 and reason in result.output


def test_without_faiss_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    result = run("--sizes", "64")
    assert result.exit_code == 2
    assert "pip install -e '.[search]'" in " ".join(result.output.split())


def test_made_up_queries_lie_where_the_anchors_lie():
    anchors, labels = made_up_embeddings(2000, 32, 1)
    queries, _ = made_up_embeddings(50, 32, 2)
    np.testing.assert_allclose(np.linalg.norm(anchors, axis=1), 1, rtol=1e-5)
    assert sorted(set(labels)) == list(range(N_CLASSES))
    to_nearest = np.linalg.norm(queries[:, None] - anchors[None], axis=2).min(axis=1)
    between = np.linalg.norm(anchors[:50, None] - anchors[None, 50:100], axis=2)
    assert np.median(to_nearest) < 0.5 * np.median(between)
