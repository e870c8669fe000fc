"""A student that learns from finished models instead of labels."""
from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from siamese_emotion_ros.recognition.artifacts import read_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.quantized import QuantizedCompactNetwork
from siamese_emotion_ros.shipped import DEFAULT_MODEL, shipped_path
from siamese_emotion_ros.training.config import ConfigError
from siamese_emotion_ros.training.distillation import Teachers
from siamese_emotion_ros.training.train import train

HEAD = ("loss.name=supervised_contrastive", "loss.cross_entropy=1.0", "optimizer.lr=5e-3", "trainer.export=last")


def run(tiny, folder, *overrides, data=None):
    return train(tiny.make_config(*overrides), data or tiny.make_data(), folder, progress_bar=False)


@pytest.fixture(scope="module")
def teacher(tiny, tmp_path_factory):
    return run(tiny, tmp_path_factory.mktemp("teacher"), *HEAD, "trainer.epochs=12").model


def head_accuracy(path, data):
    model = EmbeddingModel.load(path, "cpu")
    weight, bias = model.head
    decided = (model.embed(list(data.faces[data.val, 0].numpy())) @ weight.T + bias).argmax(axis=1)
    return (decided == data.labels.numpy()[data.val]).mean()


@pytest.mark.parametrize("weight, learns", [(1.0, True), (0.0, False)])
def test_a_student_learns_what_its_teacher_knows_and_its_labels_do_not(tiny, teacher, tmp_path, weight, learns):
    data = tiny.make_data()
    misled = dataclasses.replace(data, labels=(data.labels + 1) % len(tiny.CLASSES))
    result = run(tiny, tmp_path, *HEAD, "loss.weight=0", "trainer.epochs=16", f"distillation.teachers={teacher}",
                 f"distillation.weight={weight}", data=misled)
    assert (head_accuracy(result.model, data) > 0.8) == learns


def test_the_student_names_its_teachers_and_carries_none_of_their_weights(tiny, teacher, tmp_path):
    result = run(tiny, tmp_path, *HEAD, "trainer.epochs=1", f"distillation.teachers={teacher}, {teacher}")
    fingerprint = read_model(teacher).fingerprint
    student = read_model(result.model)
    assert student.spec.provenance["teachers"] == f"{fingerprint}, {fingerprint}"
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert {name.split(".")[0] for name in checkpoint} == {"network", "head", "averaged", "averaged_head"}


def test_a_run_is_not_resumed_with_a_teacher_that_was_replaced(tiny, teacher, tmp_path):
    replaced = tmp_path / "teacher.safetensors"
    shutil.copyfile(teacher, replaced)
    config = tiny.make_config(*HEAD, "trainer.epochs=1", f"distillation.teachers={replaced}")
    student = train(config, tiny.make_data(), tmp_path / "student", progress_bar=False)
    again = train(config, tiny.make_data(), tmp_path / "student", resume=True, progress_bar=False)
    assert again.fingerprint == student.fingerprint
    shutil.copyfile(student.model, replaced)
    with pytest.raises(ConfigError, match="other teachers than distillation.teachers .* are now: put the same"):
        train(config, tiny.make_data(), tmp_path / "student", resume=True, progress_bar=False)


def test_teachers_answer_with_the_mean_of_their_probabilities(tiny, teacher, tmp_path):
    other = run(tiny, tmp_path, *HEAD, "trainer.epochs=2", "trainer.seed=1").model
    faces = tiny.make_data().faces[:6].float()
    first, second = (Teachers([str(path)], tiny.CLASSES)(faces) for path in (teacher, other))
    both = Teachers([str(teacher), str(other)], tiny.CLASSES)(faces)
    torch.testing.assert_close(both, (first + second) / 2)
    mirrored = Teachers([str(teacher), str(other)], tiny.CLASSES)(faces.flip(dims=(3,)))
    torch.testing.assert_close(both, mirrored)
    alone = Teachers([str(teacher)], tiny.CLASSES, mirror=False)
    assert not torch.equal(alone(faces), alone(faces.flip(dims=(3,))))
    torch.testing.assert_close(first, (alone(faces) + alone(faces.flip(dims=(3,)))) / 2)
    np.testing.assert_allclose(both.sum(dim=1), 1, rtol=1e-6)


def test_a_teacher_of_more_emotions_is_asked_about_the_students(tiny, teacher):
    faces = tiny.make_data().faces[:6].float()
    faces = faces + faces.flip(dims=(3,))  # its own mirror image
    every = Teachers([str(teacher)], tiny.CLASSES)(faces)
    two = Teachers([str(teacher)], ("neutral", "anger"))(faces)
    expected = every[:, [2, 0]]
    torch.testing.assert_close(two, expected / expected.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("side", [12, 32, 40])
def test_a_teacher_of_another_input_size_sees_what_the_recogniser_would_show_it(tiny, teacher, side):
    model = EmbeddingModel.load(teacher, "cpu")
    faces = torch.randint(0, 256, (4, 1, 5, 5)).float()
    faces = torch.nn.functional.interpolate(faces, size=(side, side), mode="bilinear").round()
    answers = Teachers([str(teacher)], tiny.CLASSES, mirror=False)(faces)
    expected = model.head_probabilities(model.embed(list(faces[:, 0].numpy().astype(np.uint8))), tiny.CLASSES)
    np.testing.assert_allclose(answers.numpy(), expected, atol=0.02)


def test_a_teacher_of_integers_answers_alike_by_whatever_instructions(monkeypatch):
    shipped = shipped_path("models", DEFAULT_MODEL)
    faces = torch.randint(0, 256, (4, 1, 6, 6)).float()
    faces = torch.nn.functional.interpolate(faces, size=(48, 48), mode="bicubic").clamp(0, 255).round()
    classes = read_model(shipped).spec.head_classes
    with torch.autocast("cpu", torch.bfloat16):
        answers = Teachers([str(shipped)], classes, mirror=False)(faces)
        monkeypatch.setattr(QuantizedCompactNetwork, "for_cpu", lambda network: network)  # as it is defined
        defined = Teachers([str(shipped)], classes, mirror=False)(faces)
    torch.testing.assert_close(answers, defined, rtol=0, atol=1e-6)


def test_unsuitable_teachers_are_refused(tiny, teacher, tmp_path):
    headless = run(tiny, tmp_path / "headless", "trainer.epochs=1").model
    with pytest.raises(ConfigError, match="no classification head over anger, happiness, neutral .it has none."):
        run(tiny, tmp_path / "a", *HEAD, f"distillation.teachers={headless}")
    with pytest.raises(ConfigError, match="distillation.teachers: .*missing.safetensors"):
        run(tiny, tmp_path / "b", *HEAD, "distillation.teachers=missing.safetensors")
    with pytest.raises(ConfigError, match="which the classification head learns from, but there is none"):
        tiny.make_config(f"distillation.teachers={teacher}")
