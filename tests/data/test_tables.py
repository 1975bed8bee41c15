import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.loading import load_images
from tlkeras.errors import InputError

COUNT = 24


@pytest.fixture(scope="module")
def picture_folder(tmp_path_factory):
    """Folder with x/0.png to x/23.png, all different."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "x").mkdir()
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), "uint8")).save(root / "x" / f"{index}.png")
    return root


@pytest.fixture
def pictures(picture_folder, tmp_path):
    (tmp_path / "x").symlink_to(picture_folder / "x", target_is_directory=True)
    return tmp_path


def write(path, columns, delimiter=",", encoding="utf-8"):
    """Write a table of columns: a name, and a value per row or a function of the row's number."""
    cells = [
        [column(index) if callable(column) else column[index] for index in range(COUNT)] for column in columns.values()
    ]
    lines = [delimiter.join(columns), *(delimiter.join(map(str, row)) for row in zip(*cells, strict=True))]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def name(index):
    return f"x/{index}.png"


def label(index):
    return "ab"[index % 2]


def load(source, **options):
    return load_images(source, image_size=8, near_duplicates=False, **options)


def labels_by_number(images):
    """Return the names of the labels of each image, by the number in its name."""
    found = {}
    for split in (images.train, images.validation, images.test):
        for path, row in zip(split.paths, split.labels, strict=True):
            names = np.array(images.class_names)[row.astype(bool) if split.multilabel else [row]]
            found[int(Path(path).stem)] = "|".join(names)
    return [found.get(index) for index in range(COUNT)]


PLAIN = ["a", "b"] * (COUNT // 2)


@pytest.mark.parametrize(
    ("file", "delimiter", "encoding"),
    [
        ("t.csv", ",", "utf-8"),
        ("t.csv", ";", "utf-8-sig"),  # Excel in most of Europe
        ("t.csv", "\t", "utf-16"),  # Excel's "Unicode text"
        ("t.tsv", "\t", "utf-8"),
        ("t.CSV", "|", "utf-8"),
    ],
)
def test_text_tables_are_read_as_they_are_saved(pictures, file, delimiter, encoding):
    table = write(
        pictures / file, {"File Name": name, "ignored": lambda index: "ü", "Class": label}, delimiter, encoding
    )
    assert labels_by_number(load(table)) == PLAIN


def test_the_same_rows_as_csv_json_lines_parquet_and_data_frame_give_the_same_splits(pictures, monkeypatch):
    pd, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    rows = [{"path": name(index), "label": label(index), "patient": index // 2} for index in range(COUNT)]
    frame = pd.DataFrame(rows)
    frame.to_csv(pictures / "t.csv", index=False)
    frame.to_parquet(pictures / "t.parquet")
    (pictures / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    monkeypatch.chdir(pictures)
    tests = [
        sorted(Path(path).name for path in load(source).test.paths)
        for source in ("t.csv", "t.jsonl", "t.parquet", frame)
    ]
    assert tests[0] == tests[1] == tests[2] == tests[3]
    assert parquet.read_schema("t.parquet").names[0] == "path"
    Path("broken.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="is not a Parquet file"):
        load("broken.parquet")


def test_columns_and_root_may_be_given(pictures, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("tables")
    table = write(
        elsewhere / "t.csv", {"label": lambda index: "?", "picture": name, "kind": label, "who": lambda i: i // 4}
    )
    images = load(table, columns={"path": "picture", "label": "kind"}, root=pictures, groups="who")
    assert labels_by_number(images) == PLAIN
    for split in (images.train, images.validation, images.test):
        assert np.unique(split.groups, return_counts=True)[1].tolist() == [4] * (len(split) // 4)


def test_unlabeled_rows_are_left_out_and_counted(pictures):
    values = ["a", "b", "", "NaN", "NA", "None"] * 4
    with pytest.warns(UserWarning, match="16 of 24 images have no label"):
        assert (
            labels_by_number(load(write(pictures / "t.csv", {"path": name, "label": values})))
            == ["a", "b", *[None] * 4] * 4
        )
    words = ["cat", "1.5"] * 12  # text, since not all of it is numbers
    assert labels_by_number(load(write(pictures / "t.csv", {"path": name, "label": words}))) == words
    numbers = ["0.0", "1.0", "", "-1"] * 6  # as pandas writes integers with missing values
    with pytest.warns(UserWarning, match="12 of 24 images have no label"):
        assert (
            labels_by_number(load(write(pictures / "t.csv", {"path": name, "label": numbers})))
            == ["0", "1", None, None] * 6
        )


def test_rows_without_a_group_stand_alone_and_rows_without_a_split_are_dealt_out(pictures):
    columns = {"path": name, "label": label, "group": lambda index: "" if index < 20 else "p", "split": lambda i: ""}
    images = load(write(pictures / "t.csv", columns))
    assert len(np.unique(images.train.join(images.validation, images.test).groups)) == 21
    images = load(write(pictures / "t.csv", {**columns, "split": lambda index: "test" if index > 19 else ""}))
    assert sorted(int(Path(path).stem) for path in images.test.paths) == [20, 21, 22, 23]
    assert len(images.validation) == 4


MULTI = ["a", "a|b", "b", "c|a"] * 6
SORTED = ["a", "a|b", "b", "a|c"] * 6


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"path": name, "label": MULTI}, {"label_separator": "|"}),
        ({"path": name, "tags": [f'"{one.replace("|", ", ")}"' for one in MULTI]}, {"label_separator": ","}),
        ({"path": name, "labels": [f'"{one.split("|")}"' for one in MULTI]}, {}),  # as pandas writes lists
        ({"path": name, **{one: [int(one in cell) for cell in MULTI] for one in "abc"}}, {}),
        (
            {"note": label, "path": name, **{one: [float(one in cell) for cell in MULTI] for one in "abc"}},
            {"columns": {"label": ["a", "b", "c"]}},
        ),
    ],
)
def test_several_labels_come_from_separators_lists_and_columns_of_0_and_1(pictures, columns, options):
    images = load(write(pictures / "t.csv", columns), **options)
    assert images.multilabel and images.class_names == ("a", "b", "c")
    assert labels_by_number(images) == SORTED
    assert images.train.labels.dtype == np.float32 and images.train.labels.shape == (len(images.train), 3)
    pixels, rows = images.train.batches(4)[0]
    assert pixels.shape == (4, 8, 8, 3) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, images.train.labels[:4])
    assert repr(images.test).endswith("3 labels, several per image)")


def test_columns_of_0_and_1_with_one_1_per_row_are_plain_classes(pictures):
    table = write(pictures / "t.csv", {"path": name, "a": lambda index: 1 - index % 2, "b": lambda index: index % 2})
    assert labels_by_number(images := load(table)) == PLAIN and not images.multilabel
    assert load(table, multilabel=True).multilabel


def test_rows_of_one_image_add_up_to_its_labels_on_request(pictures):
    table = write(pictures / "t.csv", {"path": lambda index: name(index // 2), "label": label})
    assert labels_by_number(load(table, multilabel=True)) == ["a|b"] * 12 + [None] * 12
    with pytest.raises(
        InputError, match=r"line 2 and line 3 refer to the same image, .*0.png', but have different labels: a and b"
    ):
        load(table)


def test_rows_that_repeat_are_left_out_with_a_warning(pictures):
    table = write(pictures / "t.csv", {"path": lambda index: name(index % 20), "label": label})
    with pytest.warns(UserWarning, match="4 rows of .* repeat an earlier row"):
        assert labels_by_number(load(table)) == PLAIN[:20] + [None] * 4


def test_paths_written_on_windows_or_in_the_other_unicode_form_are_found(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    (tmp_path / decomposed).mkdir()
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8")).save(tmp_path / decomposed / f"{index}.png")
    for slash, form in (("/", composed), ("\\", decomposed), ("/", decomposed)):
        table = write(tmp_path / "t.csv", {"path": lambda index: f"{form}{slash}{index}.png", "label": label})  # noqa: B023
        assert labels_by_number(load(table)) == PLAIN


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("file,color\nx/0.png,red", {}, r"no label column \(columns: file, color\). Rename a column to label"),
        ("photo,label\nx/0.png,red", {}, "no path column"),
        ("path,smoker\nx/0.png,1\nx/1.png,0", {}, "no label column"),
        ("path,label\nx/0.png,a\n,b", {}, "line 3: the path is empty"),
        ("path,label\nx/0.png,a\nx/99.png,b", {}, r"1 of the 2 .* do not exist, such as 'x/99.png' \(line 3\)"),
        ("path,label\nx/0.png,a\nx,b", {}, "1 of the 2 files"),
        ("path,label\n../x/0.png,a", {}, r"line 2: '../x/0.png' is outside"),
        ("path,label\n/etc/0.png,a", {}, "is outside"),
        ("path,label\nhttps://a.org/0.png,a", {}, "is a URL"),
        ("path,label,split\nx/0.png,a,holdout", {}, "line 2: the split must be train, validation or test.*'holdout'"),
        ("path,label\nx/0.png,a,b", {}, "line 2 has 3 cells, but the header has 2"),
        ("path,label,label\nx/0.png,a,b", {}, "two columns named 'label'"),
        ('path,label\nx/0.png,"a', {}, "damaged"),
        ("path,label\nx/0.png,a\nx/1.png,a", {}, "only one class, 'a'"),
        ("path,label\nx/0.png,\nx/1.png,", {}, "None of the 2 images has a label"),
        ("path,label\nx/0.png,31.5\nx/1.png,44.0", {}, "regression targets"),
        ("path,a,b\nx/0.png,1,0\nx/1.png,,1", {"columns": {"label": ["a", "b"]}}, "line 3: label.*a=''"),
        ("path,a,b\nx/0.png,1,0\nx/1.png,-1,1", {"columns": {"label": ["a", "b"]}}, "a='-1'"),
        ("path,label,split,group\nx/0.png,a,train,p\nx/1.png,b,test,p", {}, "Group 'p' has images in train"),
        ("path,label,split\nx/0.png,a,train\nx/0.png,a,test", {}, "line 2 and line 3 refer .*different splits"),
        ("path,label\nx/0.png,a", {"columns": {"label": "kind"}}, "has no column 'kind'"),
        ("path,label\nx/0.png,a", {"columns": {"labels": "label"}}, "some of the keys 'path', 'label'"),
        ("path,label\nx/0.png,a", {"columns": {"path": ["a", "b"]}}, "give the name of a column for 'path'"),
        ("path,label\nx/0.png,a", {"groups": "patient"}, "one capture group, or one of the columns path, label"),
        ("path,label\nx/0.png,a", {"label_separator": ""}, "`label_separator` must be text"),
        ("path,label\nx/0.png,a", {"root": "nowhere"}, "no directory 'nowhere'"),
        ("path,label", {}, "No images in"),
        ("", {}, r"no path column \(columns: none\)"),
    ],
)  # fmt: skip
def test_unusable_table_is_refused_in_one_sentence(pictures, text, options, message):
    (pictures / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(pictures / "t.csv", **options)
    assert "\n" not in str(caught.value)


def test_table_that_is_missing_or_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        load(tmp_path / "none.csv")
    (tmp_path / "old.csv").write_bytes("path,label\na.png,x\nb.png,Käfer".encode("latin-1"))
    with pytest.raises(InputError, match=r"not encoded in UTF-8 \(line 3\). Save it as UTF-8"):
        load(tmp_path / "old.csv")
    (tmp_path / "t.jsonl").write_text('{"path": "a.png"}\n[1]\n')
    with pytest.raises(InputError, match="line 2 must be a JSON object"):
        load(tmp_path / "t.jsonl")


def test_options_of_tables_are_refused_for_other_sources(clipart10):
    for options in ({"columns": {"label": "x"}}, {"root": "."}, {"label_separator": "|"}):
        with pytest.raises(InputError, match=f"`{next(iter(options))}` can only be used with tables"):
            load(clipart10, **options)
        with pytest.raises(InputError, match=f"`{next(iter(options))}` can only be used with tables"):
            load(np.zeros((2, 8, 8, 3)), labels=[0, 1], **options)


@pytest.mark.parametrize("per_split", [False, True])
def test_hugging_face_folder_is_read_by_its_metadata(tmp_path, per_split):
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for index in range(12):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8")).save(tmp_path / part / f"{index}.png")
        rows = [{"file_name": f"{index}.png", "label": label(index)} for index in range(12)]
        if per_split:
            (tmp_path / part / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    if not per_split:
        lines = [f"{part}/{index}.png,{label(index)},{part}" for part in ("train", "test") for index in range(12)]
        (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label,split", *lines]))
    images = load(tmp_path)
    assert images.class_names == ("a", "b") and images.given >= {"test"}
    assert {Path(path).parent.name for path in images.test.paths} == {"test"} and len(images.test) == 12
    assert [images.class_names[one] for one in images.test.labels] == [
        label(int(Path(path).stem)) for path in images.test.paths
    ]


def test_metadata_without_labels_leaves_the_folders_as_classes(tmp_path):
    rng = np.random.default_rng(0)
    for kind in "ab":
        (tmp_path / kind).mkdir()
        for index in range(4):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8")).save(tmp_path / kind / f"{index}.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\na/0.png,a caption")
    assert load(tmp_path).class_names == ("a", "b")
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(InputError, match="load_from_disk"):
        load(tmp_path)
