"""`tlkeras.fit` learns from all images but a given test split; its number is of models that had not seen the image."""

from collections import Counter

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras
from tlkeras.data.dataset import ImageSplit
from tlkeras.errors import InputError
from tlkeras.evaluation.calibration import scale_temperature
from tlkeras.features.engines.keras_engine import KerasEngine
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.runs.images import source_files
from tlkeras.selection import on_features, outcome

COLORS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30)}


def picture(color, seed):
    """Draw a noisy patch: no two are near-duplicates, and color alone tells the class."""
    blocks = np.random.default_rng(seed).integers(0, 56, (6, 6, 1))
    return Image.fromarray((np.kron(blocks, np.ones((8, 8, 1))) + np.array(color)).clip(0, 255).astype("uint8"))


def folder(root, images=6, swapped=False, seed=0):
    """Write images per class; if swapped, the pictures of each class are those of another."""
    names = list(COLORS)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        color = COLORS[names[number - 1] if swapped else name]
        for i in range(images):
            picture(color, [seed, number, i]).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def colors(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("data") / "colors")


@pytest.fixture(scope="module")
def network():
    """The mean color: enough to tell the classes apart, and quick."""
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, outputs)


@pytest.fixture(autouse=True)
def _small_network(network, monkeypatch):
    extractor = on_features.FeatureExtractor
    monkeypatch.setattr(
        on_features, "FeatureExtractor", lambda backbone, **options: extractor(network, **options, engine="keras")
    )


def fit(source, *arguments, **options):
    return tlkeras.fit(source, *arguments, image_size=16, verbose=False, **options)


def test_the_delivered_model_has_learned_from_all_images_and_answers_as_scikit_learn_does(colors):
    run = fit(colors)
    assert run.metrics["measured"] | {"expected": None} == {
        "by": "cross-validation",
        "folds": 6,
        "expected": None,
        "learned_from": 18,
        "refitted": True,
    }
    assert (run.metrics["scores"]["images"], run.metrics["scores"]["accuracy"]) == (18, 1.0)
    paths = sorted(colors.glob("*/*.png"))
    assert len(run.metrics["data"]["learned"]) == len(paths)
    pixels = tlkeras.read_images(paths, 16)
    means = pixels.mean(axis=(1, 2)) / 255
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=run.metrics["choices"]["C"], max_iter=2000))
    oracle.fit(means, [path.parent.name for path in paths])
    np.testing.assert_allclose(run.model.predict(pixels, verbose=0), oracle.predict_proba(means), atol=2e-3)


def test_a_given_test_split_measures_and_is_never_learned_from_and_a_given_validation_split_joins(tmp_path):
    folder(tmp_path / "train", seed=1)
    folder(tmp_path / "val", images=2, seed=2)
    folder(tmp_path / "test", images=3, seed=3, swapped=True)
    run = fit(tmp_path)
    assert run.metrics["scores"]["accuracy"] == 0  # all labels there are wrong
    assert (run.metrics["measured"]["by"], run.metrics["measured"]["learned_from"]) == ("test images", 24)
    assert {name.split("/")[0] for name in run.metrics["data"]["learned"]} == {"train", "val"}
    alone = fit(tmp_path, refit=False)
    assert {name.split("/")[0] for name in alone.metrics["data"]["learned"]} == {"train"}
    assert "was trained on 24 images, which include no test images" in str(run)


def test_of_many_images_a_fifth_is_held_out_and_learned_from_afterwards(colors, monkeypatch):
    monkeypatch.setattr(on_features, "MOST_TO_CROSS_VALIDATE", 17)
    run = fit(colors)
    assert (run.metrics["measured"]["by"], run.metrics["scores"]["images"]) == ("held-out images", 3)
    assert run.metrics["measured"]["learned_from"] == 18
    assert fit(colors, refit=False).metrics["measured"]["learned_from"] == 12


def test_a_loaded_data_set_and_a_limit_per_class_are_taken(colors):
    run = fit(tlkeras.load_images(colors, image_size=16, groups=lambda path: path[-5]), per_class=4)
    assert run.metrics["measured"]["learned_from"] == 12
    counts = np.unique([name.split("/")[-2] for name in run.metrics["data"]["learned"]], return_counts=True)[1]
    assert counts.tolist() == [4, 4, 4]


def test_a_run_predicts_evaluates_and_opens_again(colors, tmp_path):
    run = fit(colors, tmp_path / "run")
    (tmp_path / "empty.png").touch()
    paths = [colors / "red" / "0.png", tmp_path / "empty.png", colors / "blue" / "1.png"]
    answers = run.predict(paths)
    assert [one.get("class") for one in answers] == ["red", None, "blue"]
    assert answers[1] == {"path": str(paths[1]), "error": "it is empty (zero bytes)"}
    assert (
        run.predict(np.stack([np.full((20, 20, 3), 30, "uint8") + COLORS["red"]]).astype("uint8"))[0]["class"] == "red"
    )
    opened = tlkeras.load_run(tmp_path / "run")
    assert opened.metrics == run.metrics and opened.log == run.log
    assert isinstance(run.make_engine(), LiteRtEngine)
    assert opened.predict(paths, probabilities=True) == run.predict(paths, probabilities=True)
    assert isinstance(run.make_engine(), LiteRtEngine) and "model" not in vars(run)  # until it is asked for
    assert run.model is run.model and isinstance(run.make_engine(), KerasEngine)  # which may have been changed
    assert [one.get("class") for one in opened.predict(paths)] == ["red", None, "blue"]
    new = folder(tmp_path / "new", images=2, seed=9)
    assert opened.evaluate(new)["scores"]["accuracy"] == 1.0
    (new / "yellow").mkdir()
    picture((250, 250, 0), 1).save(new / "yellow" / "0.png")
    scores = opened.evaluate(new, classes=["blue", "red"])["scores"]
    assert scores["images"] == 4 and scores["accuracy"] == 1.0
    with pytest.raises(InputError, match="yellow"):
        opened.evaluate(new)


@pytest.fixture
def table(tmp_path):
    """Two labels per image that do not depend on one another."""
    rows = ["path,is_red,is_green"]
    for i in range(24):
        red, green = i % 2, i // 2 % 2
        picture((200 * red, 200 * green, 30), i).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{red},{green}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path / "labels.csv"


def test_two_groups_per_class_are_enough_for_cross_validation(tmp_path):
    for path in sorted(folder(tmp_path).glob("*/*.png")):
        path.rename(path.with_name(f"patient{int(path.stem) % 2}_{path.name}"))
    run = fit(tmp_path, groups=r"(\w+/patient\d)")
    assert run.metrics["scores"]["images"] == 18 and run.metrics["measured"]["by"] == "cross-validation"
    assert run.metrics["measured"]["learned_from"] == 18
    for options in ({"refit": False}, {"strategy": "finetune"}, {"groups": "(png)"}):  # a split, or two groups, needed
        with pytest.raises(InputError, match="too few distinct images"):
            fit(tmp_path, **{"groups": r"(\w+/patient\d)", **options})


def test_several_labels_per_image_get_sigmoids_thresholds_average_precision_and_f1(table, tmp_path):
    with pytest.raises(tlkeras.InputError, match="`probe` must be 'logistic'"):
        fit(table, columns={"label": ["is_red", "is_green"]}, probe="lda")
    run = fit(table, tmp_path / "run", columns={"label": ["is_red", "is_green"]})
    scores = run.metrics["scores"]
    assert [one["name"] for one in scores["labels"]] == ["is_green", "is_red"]
    assert scores["mean_average_precision"] > 0.95 and scores["mean_f1"] > 0.9
    assert scores["chance"] == scores["majority_accuracy"] == 0.5
    opened = tlkeras.load_run(tmp_path / "run")
    assert opened.thresholds == tuple(one["threshold"] for one in scores["labels"])
    answers = opened.predict([table.parent / f"{i}.png" for i in range(4)])
    assert all(len(one["labels"]) == len(one["label_probabilities"]) for one in answers)
    assert [one["labels"] for one in answers] == [[], ["is_red"], ["is_green"], ["is_green", "is_red"]]
    assert sum(answers[3]["label_probabilities"]) > 1
    opened.predict(
        [table.parent / "3.png", table.parent / "0.png"], output=tmp_path / "answers.csv", probabilities=True
    )
    header, both, none = (tmp_path / "answers.csv").read_text().splitlines()
    assert header == "path,labels,label_probabilities,probability of is_green,probability of is_red,error"
    assert "3.png,is_green|is_red,0." in both and "0.png,,,0." in none
    measured = opened.evaluate(table, columns={"label": ["is_red", "is_green"]})
    assert (measured["scores"]["images"], measured["seen_in_training"], measured["scores"]["accuracy"]) == (24, 24, 1)
    assert [one["threshold"] for one in measured["scores"]["labels"]] == list(opened.thresholds)
    assert "Mean average precision on 24 images in 10-fold cross-validation" in str(opened)
    assert Counter(len(file.label) for file in source_files(opened)) == {0: 6, 1: 12, 2: 6}  # read as `fit` read it


def test_two_runs_with_one_seed_are_equal_to_the_digit(colors):
    first, second = (fit(colors, seed=3) for _ in range(2))
    assert first.metrics | {"seconds": None} == second.metrics | {"seconds": None}
    np.testing.assert_array_equal(*(run.model.get_weights()[-1] for run in (first, second)))


def test_the_labels_of_one_image_count_as_one_score():
    probabilities = np.array([[0.9, 0.2], [0.6, 0.7]])
    np.testing.assert_array_equal(outcome.right(probabilities, np.array([[1, 1], [1, 1]])), [0.5, 1.0])
    np.testing.assert_array_equal(outcome.right(probabilities, np.array([0, 0])), [1.0, 0.0])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"strategy": "magic"}, "strategy"),
        ({"class_weight": "equal"}, "class_weight"),
        ({"minutes": -1}, "minutes"),
        ({"per_class": 1}, "per_class"),
        ({"domain": "foto"}, "foto"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_before_an_image_is_read(tmp_path, options, named):
    with pytest.raises(tlkeras.InputError, match=named):
        fit(tmp_path / "nowhere", tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


def test_a_run_with_a_rejector_answers_unknown_with_and_without_keras(tmp_path):
    folder(tmp_path / "more", images=20)
    run = fit(tmp_path / "more", tmp_path / "run", reject=True)
    known, violet = [tmp_path / "more" / "red" / "0.png"], tmp_path / "violet.png"
    picture((180, 30, 180), [5, 5]).save(violet)
    opened = tlkeras.load_run(tmp_path / "run")
    assert opened._litert is not None  # which gives the features, too
    for one in (run, opened):
        answers = one.predict([*known, violet], top_k=2)
        assert [answer["class"] for answer in answers] == ["red", "unknown"]
        assert answers[0]["unknown_score"] < 0.95 < answers[1]["unknown_score"]
        assert answers[1]["probability"] == answers[1]["top"][0]["probability"]
        ((_, probabilities),) = one.probabilities(known)
        assert probabilities.shape == (3,)
    run.predict([violet], output=tmp_path / "answers.csv")
    head, row = (tmp_path / "answers.csv").read_text().splitlines()
    assert head == "path,class,probability,unknown_score,error" and row.split(",")[1] == "unknown"
    assert keras.saving.load_model(tmp_path / "run" / "model.keras").output_shape == (None, 3)
    report = run.metrics["rejection"]
    assert report == opened.rejector.report.to_dict() and [one["name"] for one in report["classes"]] == list(COLORS)
    assert "were recognized as 'unknown', with 5% false alarms" in str(run)


def test_calibration_is_measured_always_and_a_temperature_changes_probabilities_only(colors):
    plain, scaled = fit(colors), fit(colors, calibrate=True)
    before = plain.metrics["calibration"]
    assert before["temperature"] is None and before["after"] is None
    found = scaled.metrics["calibration"]
    assert found["before"] == before["before"] and plain.metrics["scores"] == scaled.metrics["scores"]
    pixels = tlkeras.read_images(sorted(colors.glob("*/*.png")), 16)
    expected = scale_temperature(plain.model.predict(pixels, verbose=0), found["temperature"])
    np.testing.assert_allclose(scaled.model.predict(pixels, verbose=0), expected, atol=1e-5)


def test_a_given_test_split_does_not_choose_the_temperature(tmp_path):
    folder(tmp_path / "train", seed=1)
    folder(tmp_path / "test", images=3, seed=3, swapped=True)
    found = fit(tmp_path, calibrate=True).metrics["calibration"]
    assert found["before"]["accuracy"] == 0  # all labels there are wrong, which asks for a high temperature
    assert found["temperature"] < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reject": True, "strategy": "finetune"}, "`strategy` must be 'features' with reject=True"),
        ({"reject": 0.05}, "`reject` must be True or False"),
        ({"multilabel": True}, "Every image has exactly one label"),
        ({"calibrate": True, "multilabel": True}, "`calibrate` must be False if images have several labels"),
        ({"reject": True}, "needs at least 19 images. Received: 18 images"),
    ],
)
def test_what_cannot_be_calibrated_or_rejected_is_refused_in_a_sentence(colors, options, words):
    with pytest.raises(tlkeras.InputError, match=words):
        fit(colors, **options)


def test_a_class_called_unknown_cannot_be_told_from_the_answer(tmp_path):
    folder(tmp_path)
    (tmp_path / "red").rename(tmp_path / "unknown")
    with pytest.raises(tlkeras.InputError, match="The class name 'unknown' is reserved"):
        fit(tmp_path, reject=True)


def test_few_images_are_measured_in_ten_folds_however_rare_a_class_is():
    def split(*counts):
        labels, names = np.repeat(np.arange(len(counts)), counts), np.arange(sum(counts))
        return ImageSplit(names.astype(str), labels, ("a", "b"), (8, 8), "stretch", names, names)

    assert [on_features.fold_count(split(*counts)) for counts in [(50, 50), (50, 3), (600, 600), (5, 5), (2, 2)]] == [
        10, 10, 5, 5, 3,
    ]  # fmt: skip
