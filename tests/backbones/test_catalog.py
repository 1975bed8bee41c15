"""The catalog: what it lists, how it is filtered, and that it needs no Keras."""

import subprocess
import sys

import pytest

from tlkeras import InputError, backbone, backbone_info, backbone_sources, list_backbones
from tlkeras.backbones.catalog import listed_info


def entries(**conditions):
    return [backbone_info(name) for name in list_backbones(**conditions)]


def test_listing_does_not_import_keras():
    code = "import tlkeras, sys; assert tlkeras.list_backbones(); assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_unique_under_any_spelling_and_families_are_lower_case():
    names = list_backbones()
    assert len({name.replace("_", "") for name in names}) == len(names)
    assert all(name == name.lower() for name in names)
    assert all(entry.family == entry.family.lower() for entry in entries())


def test_every_figure_names_its_source():
    figures = {"parameters", "default_size", "minimum_size", "width", "pretraining", "top1", "multiply_adds", "file_mb"}
    figures |= {"license"}
    for entry in entries():
        given = {figure for figure in figures if getattr(entry, figure) is not None}
        assert given == set(entry.sources), entry.name
        assert set(entry.sources.values()) <= set(backbone_sources()), entry.name


def test_figures_are_of_plausible_size():
    for entry in entries():
        assert entry.parameters is None or 1e5 < entry.parameters < 1e10, entry.name
        assert entry.top1 is None or 0.5 < entry.top1 < 0.91, entry.name
        assert entry.multiply_adds is None or 20e6 < entry.multiply_adds < 2e12, entry.name


def test_all_published_weights_say_what_they_were_trained_on():
    kinds = {"imagenet-1k", "imagenet-12k", "imagenet-12k+1k", "imagenet-21k", "imagenet-21k+1k", "self-supervised"}
    kinds.add("image-text")
    for entry in entries():
        assert (entry.pretraining in kinds) if entry.weights_url else entry.pretraining is None, entry.name
    assert backbone_info("efficientnet_lite0").pretraining == "imagenet-1k"
    assert {entry.pretraining for entry in entries(pattern="hub:dinov*")} == {"self-supervised"}
    assert {entry.family for entry in entries() if entry.pretraining == "image-text"} == {
        "clip",
        "metaclip_2",
        "siglip",
        "mobilenet_v5",
    }


def test_pretraining_agrees_with_what_names_say():
    for entry in entries():
        said = set(entry.name.replace("ssld", "22k").split("_")) & {"22k", "21k", "in22k", "imagenet21k"}
        assert not said or entry.pretraining in ("imagenet-21k", "imagenet-21k+1k"), entry.name


def test_filters_keep_what_meets_them_all():
    assert list_backbones("efficientnet_lite*") == [f"efficientnet_lite{i}" for i in range(3)]
    assert list_backbones("EfficientNet_Lite?", family="EfficientNet-Lite") == list_backbones("efficientnet_lite*")
    small = entries(max_params=5e6)
    assert small and all(entry.parameters <= 5e6 for entry in small)
    good = entries(min_top1=0.8)
    assert good and all(entry.top1 >= 0.8 for entry in good)
    cheap = entries(max_madds=500e6)
    assert cheap and all(entry.multiply_adds <= 500e6 for entry in cheap)
    both = set(list_backbones(max_params=5e6, min_top1=0.75))
    assert both == {entry.name for entry in small} & {entry.name for entry in entries(min_top1=0.75)}
    assert list_backbones("no_such*") == []


def test_offline_lists_what_is_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    assert "efficientnet_lite0" in list_backbones(offline=True)
    assert "resnet50" in list_backbones(offline=False)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / backbone_info("resnet50").weights_at(224)[0]).touch()
    assert "resnet50" in list_backbones(offline=True)
    preset = backbone_info("hub:resnet_18_imagenet")
    folder = tmp_path / "kaggle" / "models" / preset.weights_url.removeprefix("kaggle://")
    folder.mkdir(parents=True)
    for file in ("config.json", "model.weights.h5"):
        (folder / file).touch()
    assert not preset.offline  # as its image_converter.json is read too
    (folder / "image_converter.json").touch()
    assert preset.offline
    assert sorted(list_backbones(offline=True) + list_backbones(offline=False)) == sorted(list_backbones())


def test_a_preset_is_the_row_of_its_name_however_spelt_and_a_directory_is_none(tmp_path, monkeypatch):
    name = "hub:deit_tiny_distilled_patch16_224_imagenet"
    assert listed_info(name.upper().replace("_", "-")) is backbone_info(name)
    assert listed_info("hub:vgg_of_nobody") is None
    with pytest.raises(InputError, match="no backbone named 'efficientnet'"):
        listed_info("efficientnet")
    monkeypatch.chdir(tmp_path)
    (tmp_path / name.removeprefix("hub:")).mkdir()  # which is what `backbone` builds, then
    assert listed_info(name) is None


def test_a_near_miss_gets_suggestions():
    with pytest.raises(InputError, match="'resnet50'"):
        backbone_info("resnet500")
    with pytest.raises(InputError, match="'mobilenet_v3"):
        backbone_info("mobilenetv3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hub:", "Did you mean 'hub:"),
        ("cv:", "Did you mean 'cv:"),
        ("", "name of a backbone.*Received: name=''"),
        (" ", "' '"),
    ],
)
def test_a_beginning_gets_names_that_go_on_and_nothing_gets_an_example(name, message):
    for look_up in (backbone_info, backbone):
        with pytest.raises(InputError, match=message):
            look_up(name)
    with pytest.raises(InputError, match="'densenet'"):
        list_backbones(family="densnet")


@pytest.mark.parametrize(
    "condition",
    [{"pattern": 3}, {"family": 3}, {"max_params": "4M"}, {"max_madds": -1}, {"min_top1": 80}, {"offline": "yes"}],
)
def test_a_condition_that_cannot_be_met_by_any_is_named(condition):
    ((name, value),) = condition.items()
    with pytest.raises(InputError, match=f"`{name}` must be .*. Received: {name}={value!r}"):
        list_backbones(**condition)
