from __future__ import annotations

import pytest
import yaml

from siamese_emotion_ros.training.config import ConfigError, TrainingConfig, as_dict
from siamese_emotion_ros.training.config_file import differences, from_dict, read_config, write_config


def written(folder, text):
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_missing_keys_keep_their_defaults_and_overrides_win(tmp_path):
    path = written(tmp_path, "data: {classes: a}\noptimizer: {lr: 0.5}\n")
    config = read_config(path, ["optimizer.lr=1e-3", "trainer.epochs=7", "validation.patience=null"])
    assert config.classes == ("anger", "happiness", "surprise", "neutral", "fear")
    assert config.optimizer.lr == 1e-3  # YAML 1.1 reads this as text
    assert config.trainer.epochs == 7
    assert config.sampling == TrainingConfig().sampling


def test_what_is_written_reads_back_equal(tmp_path):
    data = {"classes": ["fear", "happy"], "options": {"labels": "ferplus"}}
    config = from_dict({"data": data, "loss": {"margin": 3}})
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml") == config
    assert config.classes == ("fear", "happiness")
    assert config.loss.margin == 3.0


@pytest.mark.parametrize(
    "override, message",
    [
        ("optimizer.lrr=1", "unknown key optimizer.lrr; did you mean optimizer.lr"),
        ("epochs=3", r"unknown key epochs; did you mean trainer.epochs or head.epochs\?"),
        ("optimiser.lr=1", "unknown key optimiser; did you mean optimizer"),
        ("trainer.zzzz=1", "unknown key trainer.zzzz; known here: epochs, seed"),
        ("optimizer.lr=fast", "optimizer.lr is 'fast': expected a number from 1e-09 up to 10 .learning rate"),
        ("optimizer.lr=-1", "optimizer.lr is -1.0: expected a number from 1e-09 up to 10"),
        ("optimizer.lr=.nan", "optimizer.lr is nan: expected a number"),
        ("trainer.epochs=1.5", "trainer.epochs is 1.5: expected a whole number"),
        ("trainer.epochs=true", "trainer.epochs is True: expected a whole number"),
        ("trainer.epochs=null", "trainer.epochs is None: expected a whole number"),
        ("data.votes=2", "data.votes is 2.0: expected a number from 0 up to 1"),
        ("loss.name=contrast", "loss.name is 'contrast': expected one of contrastive, triplet"),
        ("data.classes=happy,glad", "data.classes: unknown emotion 'glad'"),
        ("data.options=[1]", "data.options is .1.: expected a mapping"),
        ("network.architecture=resnet", "network.architecture is 'resnet': expected one of .*paper"),
        ("loss=3", "loss: 3 is not a section"),
        ("trainer.epochs.more=3", "'epochs' is a value, not a section"),
        ("epochs", "override 'epochs': expected key=value"),
        ("trainer.epochs=[", "is not a YAML value"),
        ("data.root=2024-13-45", "override 'data.root=2024-13-45': '2024-13-45' is not a YAML value"),
        ("data.root=!!bool x", "is not a YAML value"),
        ("data.root=!!timestamp x", "is not a YAML value"),
        ("stage=head", "set network.init_from"),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(tmp_path, override, message):
    path = written(tmp_path, "trainer: {epochs: 3}\n")
    with pytest.raises(ConfigError, match=message):
        read_config(path, [override])


@pytest.mark.parametrize(
    "values, message",
    [
        ({"sampling": {"scheme": "triplets"}}, "triplets goes with loss.name triplet, not contrastive"),
        ({"sampling": {"scheme": "pairs", "batch_size": 9}}, "expected a multiple of 2 for pairs"),
        ({"sampling": {"scheme": "pairs"}, "loss": {"mining": "hard"}}, "use sampling.scheme balanced"),
        ({"loss": {"name": "quadruplet"}}, "loss.mining=hard or sampling.scheme=quadruplets"),
        ({"loss": {"name": "quadruplet", "mining": "hard"}, "data": {"classes": "fear,anger"}}, "needs three classes"),
        ({"sampling": {"scheme": "classes_by_images"}, "data": {"classes": "fear,anger"}}, "data.classes names 2"),
        ({"loss": {"head": "prototypes", "cross_entropy": 1}}, "of paper do not: set .* one of .*compact.*paper_unit"),
        ({"network": {"architecture": "compact", "input_size": 100}}, "network.input_size 100 .* a multiple of 16"),
        ({"network": {"input_size": 40}}, "network.input_size 40 is too small for the paper network"),
        ({"network": {"input_size": 224}}, "embedding_dim 2048 take 1120072192 bytes, .* make one of the two smaller"),
        ({"data": {"votes": 0.5}}, "loss.name contrastive alone learns from single labels: set data.votes=0"),
        ({"data": {"agreement": 0.7}}, "contrastive alone learns from single labels: .* and data.agreement=null"),
        ({"data": {"agreement": 0.7, "votes": 1}, "loss": {"name": "supervised_contrastive"}}, "0.7 has no effect"),
        ({"loss": {"name": "supervised_contrastive", "mining": "hard"}}, "loss.mining hard has no effect"),
        ({"loss": {"weight": 0}}, "loss.weight and loss.cross_entropy are both 0"),
        ({"distillation": {"weight": 0.6}}, "distillation.weight is 0.6, but no .* distillation.teachers=FILE"),
        ({"sampling": {"scheme": "classes_by_images", "batch_size": 7}}, "expected a multiple of"),
        ({"augmentation": {"finer": 0.5}}, "finer is 0.5, but all .* set augmentation.side"),
        ({"augmentation": {"mixup": 0.5}}, "loss.name contrastive knows nothing: set loss.name=supervised_contrastive"),
    ],
)
def test_values_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(values)


@pytest.mark.parametrize("key", ["loss", "optimizer.lr", "data.classes"])
def test_a_value_of_any_size_is_refused_in_a_line(tmp_path, key):
    levels = ["&x0 [ha, ha]"] + [f"&x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 6)]
    with pytest.raises(ConfigError, match=key) as refused:
        read_config(written(tmp_path, "{}"), [f"{key}=[{', '.join(levels)}]"])
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a: [", "not YAML"), (b"[" * 30000, "not YAML"), (b"- 1\n", "holds a list, expected a mapping"),
        (b"\xff\xfe\x00", "not YAML"), (b"data: {root: 2024-13-45}", "not YAML"), (b"data: !!bool x", "not YAML"),
        (b"optimizer: {lr: 1" + b"0" * 400 + b"}", r"optimizer.lr is 10+\.\.\.0+: expected a number"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path, content, message):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"run.yaml: {message}"):
        read_config(path)
    with pytest.raises(ConfigError, match="missing.yaml: cannot be read"):
        read_config(tmp_path / "missing.yaml")


def test_yaml_tags_that_would_run_code_are_refused(tmp_path):
    path = written(tmp_path, "data: {root: !!python/object/apply:os.getcwd []}\n")
    with pytest.raises(ConfigError, match="not YAML"):
        read_config(path)


def test_the_fingerprint_tells_what_can_change_weights():
    base = TrainingConfig()
    assert from_dict({"data": {"root": "/somewhere"}}).fingerprint == base.fingerprint
    assert from_dict({"trainer": {"seed": 1}}).fingerprint != base.fingerprint


def test_differences_are_named_key_by_key():
    one, other = from_dict({}), from_dict({"trainer": {"epochs": 3}, "loss": {"margin": 2}})
    assert differences(one, other) == ["loss.margin: 1.0 -> 2.0", "trainer.epochs: 100 -> 3"]
    assert differences(one, from_dict(as_dict(one))) == []


def test_defaults_survive_yaml():
    assert from_dict(yaml.safe_load(yaml.safe_dump(as_dict(TrainingConfig())))) == TrainingConfig()
