"""A run adapts to images of another domain, or says why it does not; a plain Keras model comes out."""

import json
import re

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras
from tlkeras.adaptation import domain_probe
from tlkeras.adaptation.unlabeled import Unlabeled
from tlkeras.cli import adapting as commands
from tlkeras.report.adapted_page import render_adapted_page
from tlkeras.runs.adapting import adaptation_text
from tlkeras.runs.command import command_of
from tlkeras.runs.images import digest

CLASSES = ("across", "down", "dots")


def _draw(folder, change, seed, count=40):
    """Write images of stripes and dots, 16 x 16, changed by a function."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    for number in range(count):
        phase, noise = rng.integers(0, 4), rng.normal(0, 12, (16, 16, 3))
        patterns = ((rows + phase) % 4 < 2, (columns + phase) % 4 < 2, (rows + phase) % 4 + columns % 4 < 2)
        for name, pattern in zip(CLASSES, patterns, strict=True):
            pixels = change(60 + 120.0 * pattern[..., None] + noise)
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("domains")
    source = _draw(root / "source", lambda pixels: pixels, 0)
    target = _draw(root / "target", lambda pixels: 90 + 0.25 * pixels * [1.0, 0.6, 0.3], 1)
    inputs = keras.Input((16, 16, 3))
    keras.utils.set_random_seed(0)
    x = layers.Conv2D(12, 3, name="conv")(layers.Rescaling(1 / 127.5, -1)(inputs))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="toy")
    files = sorted(source.glob("*/*.png"))
    pipeline = make_pipeline(tlkeras.FeatureExtractor(network, cache=False), StandardScaler(), LogisticRegression())
    pipeline.fit(list(map(str, files)), [CLASSES.index(file.parent.name) for file in files])
    learned = {file.relative_to(source).as_posix(): digest(file) for file in files}
    data = {"source": str(source), "learned": learned, "chosen_by": {}}
    metrics = {"data": data, "scores": {"majority_class": "across"}}
    run = tlkeras.Run(tlkeras.fold(pipeline), CLASSES, (16, 16), "stretch", metrics=metrics, log=[])
    return run, source, target


@pytest.fixture(scope="module")
def adapted(places, tmp_path_factory):
    run, _, target = places
    output = tmp_path_factory.mktemp("out") / "run"
    return tlkeras.adapt(run, target, output, labeled=target), output


def test_the_adapted_run_answers_the_new_domain_better(places, adapted):
    run, _, target = places
    accuracy = [one.evaluate(target)["scores"]["accuracy"] for one in (run, adapted[0])]
    assert accuracy[1] > max(0.9, accuracy[0] + 0.1)
    assert adapted[0].metrics["adaptation"]["labeled"]["accuracy"] == pytest.approx(accuracy)
    text = adaptation_text(adapted[0].metrics["adaptation"])
    assert "120 unlabeled images" in text and f"{accuracy[1]:.3f} now" in text


def test_the_page_says_what_was_done_and_what_labels_said(adapted):
    new, output = adapted
    page = (output / "report.html").read_text("utf-8")
    assert new.report == output / "report.html" and "<script" not in page
    facts = new.metrics["adaptation"]
    before, now = facts["labeled"]["accuracy"]
    assert f"<strong>{now:.1%}</strong><span>of 120 images with labels; {before:.1%} before" in page
    assert "Adapted to 120 unlabeled images" in page and "tlkeras.adapt(Run, images=" in page
    given = {"run": "RUN", "images": "NEW", "output": "OUT", "batchnorm": False}
    assert command_of(given, tlkeras.adapt, "run") == "tlkeras adapt RUN --images NEW --output OUT --no-batchnorm"
    share = facts["shares"][1][CLASSES.index("dots")]
    assert re.search(rf"<bdi>dots</bdi></th><td>\d+%</td><td>{share:.0%}</td>", page)
    without = {key: value for key, value in facts.items() if key != "labeled"}
    page = render_adapted_page("a<b", CLASSES, {"adaptation": without}, [], "")
    assert "No accuracy yet" in page and "a&lt;b" in page


def test_the_new_model_opens_with_keras_and_the_old_one_is_unchanged(places, adapted):
    run, _, target = places
    new, output = adapted
    files = sorted(map(str, target.glob("*/*.png")))[:5]
    plain = keras.saving.load_model(output / "model.keras")
    answers = plain.predict(tlkeras.read_images(files, 16).astype("float32"), verbose=0)
    again = tlkeras.load_run(output)
    np.testing.assert_allclose(np.stack([one for _, one in again.probabilities(files)]), answers, atol=1e-5)
    assert json.loads((output / "metrics.json").read_text())["adaptation"]["batchnorm"]
    assert {"norm", "norm_adapted"} <= {layer.name for layer in new.model.layers}
    assert not np.asarray(run.model.get_layer("norm").moving_mean).any()


def test_the_logits_are_those_of_both_heads_averaged_by_how_far_they_agree(monkeypatch):
    rng = np.random.default_rng(0)
    labels, new = np.arange(120) % 3, np.arange(150) % 3
    centers = 2 * rng.normal(size=(3, 6))
    source, target = centers[labels] + rng.normal(size=(120, 6)), 1.5 * centers[new] + rng.normal(size=(150, 6)) + 1
    tables = {120: source, 150: target}
    monkeypatch.setattr(domain_probe.Domains, "features", lambda self, network, images: tables[len(images)])
    inputs = keras.Input((6,))
    network = keras.Model(inputs, layers.Activation("linear")(inputs))
    images = [Unlabeled([None] * count, np.arange(count)) for count in (120, 150)]
    adapted = domain_probe.adapt_to_domain(
        domain_probe.Domains(network, images[0], labels, images[1], "stretch"), batchnorm=False, self_training=False
    )
    probe = tlkeras.linear_probe(source, labels)
    mapped = (target - target.mean(axis=0)) / target.std(axis=0) * source.std(axis=0) + source.mean(axis=0)
    agreement = (probe.predict(target) == probe.predict(mapped)).mean()
    weight = 0.8 * np.clip((agreement - 0.4) / 0.4, 0, 1)  # 0.5 with a second network
    logits = weight * probe.decision_function(target) + (1 - weight) * probe.decision_function(mapped)
    assert weight > 0 and adapted.facts["weight_of_former"] == pytest.approx(weight, abs=1e-3)
    assert f"with a weight of {weight:.0%}" in adaptation_text(adapted.facts)
    np.testing.assert_allclose(adapted.model.predict(target, verbose=0), softmax(logits, axis=1), atol=1e-5)


def test_without_batchnorm_the_network_stands_once_and_only_its_head_is_new(places):
    run, _, target = places
    new = tlkeras.adapt(run, target, batchnorm=False, self_training=True)
    assert [layer.name for layer in new.model.layers[:-1]][1:] == [layer.name for layer in run.model.layers[1:-1]]
    assert "Self-training changed" in adaptation_text(new.metrics["adaptation"])


def test_what_cannot_be_adapted_is_refused_and_nothing_is_written(places, tmp_path):
    run, source, target = places
    few = sorted(map(str, target.glob("*/*.png")))[:99]
    (tmp_path / "bad" / "any").mkdir(parents=True)
    (tmp_path / "bad" / "any" / "broken.png").write_bytes(b"no image")
    broken = [*sorted(map(str, target.glob("*/*.png"))), str(tmp_path / "bad" / "any" / "broken.png")]
    output = tmp_path / "run"
    for images, options, message in (
        (few, {}, "at least 100 images of the new domain. Received: 99"),
        (source, {}, "from a different domain"),
        (broken, {}, r"1 of 121 images cannot be read: .*broken\.png"),
        (target, {"source": target}, "no images of class"),
        (target, {"labeled": tmp_path / "bad"}, "has the class 'any'"),
    ):
        with pytest.raises(tlkeras.InputError, match=message):
            tlkeras.adapt(run, images, output, batchnorm=False, **options)
        assert not output.exists()
    several = tlkeras.Run(run.model, CLASSES, (16, 16), "stretch", thresholds=(0.5,) * 3, metrics=run.metrics)
    with pytest.raises(tlkeras.InputError, match="one class per image"):
        tlkeras.adapt(several, target)
    gone = {"data": {**run.metrics["data"], "source": str(tmp_path / "gone")}}
    moved = tlkeras.Run(run.model, CLASSES, (16, 16), "stretch", metrics=gone)
    with pytest.raises(tlkeras.InputError, match="`source` must be given"):
        tlkeras.adapt(moved, target)


def test_the_commands_check_their_arguments_before_keras_is_loaded(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(tlkeras.InputError, match="`--images` must be an existing folder"):
        commands.adapt(tmp_path, tmp_path / "none", tmp_path / "out")
    with pytest.raises(tlkeras.InputError, match=r"must end in \.csv"):
        commands.label_order(tmp_path, tmp_path / "labels.txt")
    with pytest.raises(tlkeras.InputError, match="must not be an existing file"):
        commands.label_order(tmp_path, tmp_path / "labels.csv")
