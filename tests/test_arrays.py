import csv
import gzip
import io
import json
import re
import struct
import zipfile

import numpy as np
import pytest
from conftest import need_module
from PIL import Image

from lenet import data
from lenet.data.files import arrays_at_hand, is_array_file, label_indices, open_images
from lenet.data.pictures.convention import MNIST
from lenet.errors import FormatError


@pytest.fixture(scope="module")
def digits():
    """A hundred real digits, as uint8 (100, 28, 28), and their labels."""
    test = data.load("digits").test
    return test.images[:100, 0], test.labels[:100]


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_csv(path, images, labels=None, header=False, last=False, pixel=str):
    rows = [[pixel(value) for value in image.ravel()] for image in images]
    names = [f"pixel{index}" for index in range(len(rows[0]))]
    if labels is not None:
        place = len(names) if last else 0
        names.insert(place, "label")
        for row, label in zip(rows, labels, strict=True):
            row.insert(place, label)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows] if header else rows)


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def write_parquet(path, columns, names=None):
    arrow = need_module("pyarrow", "pip install 'lenet[parquet]'")
    from pyarrow import parquet

    table = arrow.table(columns)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        facts = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": facts})
    parquet.write_table(table, path, row_group_size=32)


def write_npy(path, images, labels):
    np.save(path, images)


def write_npy_with_channels(path, images, labels):
    np.save(path, images[:, None])


def write_npy_of_rows(path, images, labels):
    np.save(path, images.reshape(len(images), -1))


def write_npy_in_fortrans_order(path, images, labels):
    np.save(path, np.asfortranarray(images))


def write_npy_of_fractions(path, images, labels):
    np.save(path, images.astype(">f4") / np.float32(255))


def write_npy_of_long_integers(path, images, labels):
    np.save(path, images.astype(np.int64))


def write_npz(path, images, labels):
    np.savez_compressed(path, x=images, y=labels)


def write_npz_as_keras_does(path, images, labels):
    np.savez(path, x_train=images[:70], y_train=labels[:70], x_test=images[70:], y_test=labels[70:])


def write_npz_as_medmnist_does(path, images, labels):
    np.savez(
        path, train_images=images[:70], train_labels=labels[:70, None],
        test_images=images[70:], test_labels=labels[70:, None],
    )  # fmt: skip


def write_npz_without_names(path, images, labels):
    np.savez(path, images, labels)


def write_idx_pair(path, images, labels):
    path.write_bytes(idx(images))
    (path.parent / "train-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))


def write_idx_packed(path, images, labels):
    path.write_bytes(gzip.compress(idx(images)))
    beside = path.parent / "train-labels-idx1-ubyte.gz"
    beside.write_bytes(gzip.compress(idx(labels.astype(np.uint8))))


def write_csv_label_last(path, images, labels):
    write_csv(path, images, labels, header=True, last=True)


def write_csv_with_header(path, images, labels):
    write_csv(path, images, labels, header=True)


def write_csv_of_fractions(path, images, labels):
    write_csv(path, images / 255, labels)


def write_csv_of_pixels(path, images, labels):
    write_csv(path, images)


def write_parquet_of_columns(path, images, labels):
    pixels = images.reshape(len(images), -1)
    columns = {f"pixel{index}": pixels[:, index] for index in range(pixels.shape[1])}
    write_parquet(path, {"label": labels, **columns})


def write_parquet_of_lists(path, images, labels):
    write_parquet(path, {"image": list(images.reshape(len(images), -1)), "label": labels})


def write_parquet_of_nested_lists(path, images, labels):
    write_parquet(path, {"image": images.tolist(), "label": labels})


def write_parquet_of_pictures(path, images, labels):
    rows = [{"bytes": png(image), "path": None} for image in images]
    write_parquet(path, {"image": rows, "label": labels})


def write_parquet_of_bytes(path, images, labels):
    write_parquet(path, {"image": [png(image) for image in images], "label": labels})


WRITERS = [
    ("a.npy", write_npy),
    ("a.npy", write_npy_with_channels),
    ("a.npy", write_npy_of_rows),
    ("a.npy", write_npy_in_fortrans_order),
    ("a.npy", write_npy_of_fractions),
    ("a.npy", write_npy_of_long_integers),
    ("a.npz", write_npz),
    ("a.npz", write_npz_as_keras_does),
    ("a.npz", write_npz_as_medmnist_does),
    ("a.npz", write_npz_without_names),
    ("train-images-idx3-ubyte", write_idx_pair),
    ("train-images-idx3-ubyte.gz", write_idx_packed),
    ("a.csv", write_csv),
    ("a.csv.gz", write_csv),
    ("a.csv", write_csv_with_header),
    ("a.csv", write_csv_label_last),
    ("a.csv", write_csv_of_fractions),
    ("a.csv", write_csv_of_pixels),
    ("a.parquet", write_parquet_of_columns),
    ("a.parquet", write_parquet_of_lists),
    ("a.parquet", write_parquet_of_nested_lists),
    ("a.parquet", write_parquet_of_pictures),
    ("a.parquet", write_parquet_of_bytes),
]


def read_all(file, size, start=0, stop=None):
    blocks = list(file.blocks(size, start, stop))
    assert all(len(block.images) <= size for block in blocks)
    images = np.concatenate([block.images for block in blocks])
    if blocks[0].labels is None:
        return images, None
    return images, np.concatenate([block.labels for block in blocks])


@pytest.mark.parametrize(
    ("name", "write"), WRITERS, ids=[f"{name}-{write.__name__[6:]}" for name, write in WRITERS]
)
def test_every_format_gives_back_the_same_real_digits(tmp_path, digits, name, write):
    images, labels = digits
    write(tmp_path / name, images, labels)
    assert is_array_file(tmp_path / name)
    file = open_images(tmp_path / name)
    assert len(file) == 100
    for size, start, stop in ((1000, 0, None), (7, 0, 100), (33, 65, 90)):
        found, found_labels = read_all(file, size, start, stop)
        assert (found.dtype, found.shape[1:]) == (np.uint8, (1, 28, 28))
        np.testing.assert_array_equal(found[:, 0], images[start:stop])
        if found_labels is not None:
            indices = label_indices(found_labels, [str(k) for k in range(10)], name)
            np.testing.assert_array_equal(indices, labels[start:stop])


def test_names_say_which_rows_are_for_training_and_which_for_test(tmp_path, digits):
    write_npz_as_keras_does(tmp_path / "a.npz", *digits)
    assert open_images(tmp_path / "a.npz").splits == {"train": range(70), "test": range(70, 100)}


def test_labels_at_hand_may_be_texts_as_pandas_has_them(digits):
    images, labels = digits
    names = np.array([f"k{label}" for label in labels], dtype=object)
    _, found = read_all(arrays_at_hand(images, names), 100)
    assert found.tolist() == names.tolist()
    with pytest.raises(FormatError, match="its labels are object, not whole numbers or texts"):
        arrays_at_hand(images, np.array([None, *names[1:]], dtype=object))
    with pytest.raises(FormatError, match="the first that is neither is label 2, nan"):
        arrays_at_hand(images, [*labels[:2], np.nan, *labels[3:]])


@pytest.mark.parametrize(
    ("cell", "message"), [("", "could not convert string ''"), ("12.5", "string '12.5'")]
)
@pytest.mark.parametrize("row", [3, 90])
def test_one_bad_cell_is_named_wherever_it_stands(tmp_path, digits, row, cell, message):
    write_csv(tmp_path / "a.csv", *digits)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    cells = lines[row].split(",")
    lines[row] = ",".join([*cells[:40], cell, *cells[41:]])
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(FormatError, match=rf"line {row + 1}, column 41: .*{message}"):
        read_all(open_images(tmp_path / "a.csv"), 100)


def test_the_real_mnist_is_the_same_as_idx_and_as_csv(tmp_path, mnist_folder):
    path = mnist_folder / "mnist" / "t10k-images-idx3-ubyte"
    path = path if path.exists() else path.with_name(f"{path.name}.gz")
    images, labels = read_all(open_images(path), 1000, 0, 500)
    write_csv(tmp_path / "mnist_test.csv", images, labels, header=True)
    found, texts = read_all(open_images(tmp_path / "mnist_test.csv"), 128)
    np.testing.assert_array_equal(found, images)
    assert texts.tolist() == [str(label) for label in labels]


def test_colours_and_keras_order_of_channels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), np.uint8)
    np.save(tmp_path / "first.npy", images)
    np.save(tmp_path / "last.npy", np.moveaxis(images, 1, -1))
    for name in ("first.npy", "last.npy"):
        found, _ = read_all(open_images(tmp_path / name), 3)
        np.testing.assert_array_equal(found, images)


def test_labels_of_a_csv_may_be_words_in_any_script(tmp_path, digits):
    images, _ = digits
    names = ["буква, б", "буква, б", "λ"]
    write_csv(tmp_path / "a.csv", images[:3], names)
    _, labels = read_all(open_images(tmp_path / "a.csv"), 2)
    assert labels.tolist() == names
    assert label_indices(labels, ["λ", "буква, б"], "a.csv").tolist() == [1, 1, 0]


def test_semicolons_and_a_byte_order_mark_are_a_spreadsheets(tmp_path, digits):
    images, labels = digits
    write_csv(tmp_path / "a.csv", images, labels, header=True)
    text = (tmp_path / "a.csv").read_text().replace(",", ";")
    (tmp_path / "b.csv").write_text("\ufeff" + text.replace("\n", "\r\n\r\n"))
    found, _ = read_all(open_images(tmp_path / "b.csv"), 64)
    np.testing.assert_array_equal(found[:, 0], images)


def test_hugging_faces_names_come_along(tmp_path, digits):
    images, labels = digits
    names = [f"digit {index}" for index in range(10)]
    columns = {"image": [png(image) for image in images], "label": labels}
    write_parquet(tmp_path / "a.parquet", columns, names)
    file = open_images(tmp_path / "a.parquet")
    assert file.class_names == tuple(names)
    _, found = read_all(file, 50)
    assert label_indices(found, names, "a").tolist() == labels.tolist()


def test_encoded_pictures_are_made_as_the_convention_says(tmp_path, digits):
    images, labels = digits
    dark = [png(255 - image) for image in images[:5]]
    write_parquet(tmp_path / "a.parquet", {"image": dark, "label": labels[:5]})
    file = open_images(tmp_path / "a.parquet", (1, 28, 28), MNIST)
    found, _ = read_all(file, 5)
    assert found.shape == (5, 1, 28, 28)
    assert found[:, :, 0].max() == 0


def test_a_label_that_is_no_class_is_named():
    labels = np.array([0, 3, 26])
    with pytest.raises(FormatError, match=r"a\.npz: the label '26' is none of the 26 classes \(A"):
        label_indices(labels, [chr(65 + k) for k in range(26)], "a.npz")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 3, 3), 300, np.int16), "pixels go from 300 to 300"),
        (np.full((2, 3, 3), -1, np.int16), "pixels go from -1 to -1"),
        (np.full((2, 3, 3), 127.5), "whole numbers from 0 to 255 .* and fractions from 0 to 1"),
        (np.full((2, 3, 3), np.nan), "a pixel is not a finite number"),
        (np.full((2, 3, 3), np.inf, np.float16), "a pixel is not a finite number"),
        (np.full((2, 3, 3), 40000, np.float16), "pixels go from 40000 to 40000"),
        (np.full((2, 3, 3), 1e308), r"pixels go from 1e\+308 to 1e\+308"),
        (np.full((2, 3, 3), 1.0000001, np.float32), "pixels go from 1.0000001 to 1.0000001"),
        (np.full((2, 3, 3), "a"), "are no numbers"),
        (np.full((2, 3, 3), 1j), "are no numbers"),
        (np.zeros((2, 10)), r"rows have the shape \(10,\)"),
        (np.zeros(10), r"rows have the shape \(\)"),
        (np.zeros((2, 2, 5, 5)), r"1 or 3 channels"),
        (np.zeros((0, 28, 28)), "it holds no images"),
        (np.zeros((2, 0, 28)), "rows have the shape"),
        (np.array([[[None]]]), "holds Python objects: refused, since loading them runs code"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused_with_the_cure(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(FormatError, match=rf"a\.npy: .*{message}"):
        read_all(open_images(tmp_path / "a.npy"), 10)


def npy_header(text):
    head = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967295, 65536, 784), }"
SMALL = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3), }"
NEGATIVE = "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, -3, 3), }"
CODE = "__import__('os').abort()"
LINE = ",".join(["7", *["0"] * 784]) + "\n"

HOSTILE = {
    "empty.npy": (b"", "this file is empty"),
    "text.npy": (b"no array at all", "not an array of NumPy"),
    "cut.npy": (npy_header(SMALL)[:40], "not an array of NumPy"),
    "code.npy": (npy_header(CODE), "not an array of NumPy"),
    "huge.npy": (npy_header(HUGE), "its header promises .* bytes in all"),
    "negative.npy": (npy_header(NEGATIVE) + bytes(18), "holds no rows"),
    "short.npy": (npy_header(SMALL) + bytes(17), "its header promises"),
    "long.npy": (npy_header(SMALL) + bytes(19), "its header promises"),
    "text.npz": (b"PK\3\4 no archive", r"not an \.npz file"),
    "huge.npz": (zipped(x=npy_header(HUGE)), "x: its header promises"),
    "names.npz": (zipped(weights=npy_header(SMALL) + bytes(18)), "holds weights; name the arrays"),
    "nothing.npz": (zipped(), "holds nothing"),
    "crc.npz": (zipped(x=npy_header(SMALL) + b"A" * 18).replace(b"A" * 18, b"B" * 18), "Bad CRC"),
    "bad-idx3-ubyte": (b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 9, 9), "promises"),
    "html-idx3-ubyte": (b"<!DOCTYPE html>", "not an IDX file"),
    "cut-idx3-ubyte.gz": (gzip.compress(idx(np.zeros((9, 9, 9), np.uint8)))[:-9], "damaged"),
    "short-idx3-ubyte.gz": (gzip.compress(idx(np.zeros((9, 9, 9), np.uint8))[:-9]), "cut short"),
    "long-idx3-ubyte.gz": (gzip.compress(idx(np.zeros((9, 9, 9), np.uint8)) + b"1"), "longer"),
    "columns.csv": (b"1,2,3\n4,5,6\n", "3 columns; a line holds the pixels of a square image"),
    "blank.csv": (b"\n\n  \n", "it holds no images"),
    "header.csv": (b"label," + b",".join([b"p"] * 784), "a header and no images"),
    "binary.csv": (b"\0" * 4000, "not text"),
    "latin.csv": (b"\xff\xfe,1,2", "not text in UTF-8"),
    "cut.csv.gz": (gzip.compress((LINE * 5).encode())[:-9], "damaged"),
    "word.csv": ((LINE + LINE.replace("0\n", "x\n")).encode(), "could not convert string 'x'"),
    "range.csv": ((LINE + LINE.replace("0\n", "256\n")).encode(), "pixels go from 0 to 256"),
    "wide.csv": ((LINE + LINE.replace("0\n", "0,0\n")).encode(), "786 columns where the first"),
    "decimal.csv": ((LINE.replace("0\n", "9\n") + LINE.replace("0\n", "0.5\n")).encode(), "to 9;"),
    "nan.csv": (LINE.replace("0\n", "nan\n").encode(), "not a finite number"),
    "unlabelled.csv": ((LINE + LINE.replace("7", "")).encode(), "a line has no label"),
    "text.parquet": (b"PAR1 is not enough PAR1", "not Parquet, or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_name(tmp_path, name):
    content, message = HOSTILE[name]
    if name.endswith(".parquet"):
        need_module("pyarrow", "pip install 'lenet[parquet]'")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=rf"{name}.*{message}"):
        read_all(open_images(tmp_path / name), 10)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"1" * (1 << 25)))
    with pytest.raises(FormatError, match="line 1: over 16777216 letters"):
        open_images(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", "b"], "label": [0, 1]}, "its columns are text, label; none is"),
        ({"image": [[0] * 9, [0] * 4], "label": [0, 1]}, "lists of different lengths: "),
        ({"image": [[0] * 9, None], "label": [0, 1]}, "lists of different lengths"),
        ({"image": [[0] * 9, [0] * 9], "label": [0, None]}, "a value is missing"),
        ({"image": [{"bytes": None, "path": "a.png"}], "label": [0]}, "row 0: holds no bytes"),
        ({"image": [b"no picture"], "label": [0]}, "row 0: not a picture"),
        ({"image": [[0] * 9, [700] * 9], "label": [0, 1]}, "pixels go from 0 to 700"),
    ],
)  # fmt: skip
def test_parquet_that_holds_no_images_is_refused(tmp_path, columns, message):
    write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(FormatError, match=rf"a\.parquet.*{message}"):
        read_all(open_images(tmp_path / "a.parquet"), 10)


def test_a_damaged_picture_in_the_middle_is_named_by_its_row(tmp_path, digits):
    images, labels = digits
    pictures = [png(image) for image in images[:50]]
    pictures[40] = pictures[40][:60]
    write_parquet(tmp_path / "a.parquet", {"image": pictures, "label": labels[:50]})
    file = open_images(tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=r"a\.parquet, row 40: this picture cannot be read"):
        read_all(file, 8)


def parts_of(path):
    """Images and labels of a file, in one piece."""
    return read_all(open_images(path), 1000)


def says(path, pattern):
    return any(re.search(pattern, remark) for remark in open_images(path).remarks)


def table_of(images, labels, **options):
    """Rows of texts: the label first, or where `at` says; other columns in front of all."""
    rows = [[str(value) for value in image.ravel()] for image in images]
    for row, label in zip(rows, labels, strict=True):
        row.insert(options.get("at", 0), str(label))
    return rows


def save_table(path, rows, header=None):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)


def test_a_label_that_stands_last_is_found_without_a_header(tmp_path, digits):
    images, labels = digits
    save_table(tmp_path / "a.csv", table_of(images, labels, at=784))
    found, texts = parts_of(tmp_path / "a.csv")
    np.testing.assert_array_equal(found[:, 0], images)
    assert texts.tolist() == [str(label) for label in labels]
    assert says(tmp_path / "a.csv", "the label is the last column: the first column has 1 differen")


def test_a_label_that_stands_first_is_taken_and_said(tmp_path, digits):
    save_table(tmp_path / "a.csv", table_of(*digits))
    file = open_images(tmp_path / "a.csv")
    assert file.described == "the label is the first column, as in MNIST's tables"
    assert file.doubt == ""
    assert file.remarks == ()


def test_a_column_that_is_nearly_one_value_is_not_trained_on_as_the_label(tmp_path, digits):
    images, labels = digits
    save_table(tmp_path / "a.csv", table_of(images, np.where(labels == labels[0], 1, 0) * 0 + 7))
    with pytest.raises(
        FormatError, match=r"a\.csv: which column is the label is not sure: the fir"
    ):
        data.load(tmp_path / "a.csv")


def test_two_columns_that_may_be_the_label_are_asked_about(tmp_path, digits):
    images, labels = digits
    rows = table_of(images, labels)
    for row, label in zip(rows, labels, strict=True):
        row[-1] = str(9 - label)
    save_table(tmp_path / "a.csv", rows)
    with pytest.raises(FormatError, match="either could be the label; name it in a header"):
        data.load(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["digit", "Class", "TARGET", "label"])
@pytest.mark.parametrize("at", [0, 300, 784])
def test_a_named_label_is_found_wherever_it_stands(tmp_path, digits, name, at):
    images, labels = digits
    header = [f"pixel{index}" for index in range(784)]
    header.insert(at, name)
    save_table(tmp_path / "a.csv", table_of(images[:9], labels[:9], at=at), header)
    found, texts = parts_of(tmp_path / "a.csv")
    np.testing.assert_array_equal(found[:, 0], images[:9])
    assert texts.tolist() == [str(label) for label in labels[:9]]
    described = open_images(tmp_path / "a.csv").described
    assert described == f"the label is the column called {name!r}"


def test_whole_numbers_that_are_written_as_floats_are_whole_numbers(tmp_path, digits):
    images, labels = digits
    np.savetxt(tmp_path / "a.csv", np.c_[labels, images.reshape(100, -1)], delimiter=",")
    np.savez(tmp_path / "a.npz", x=images.astype(np.float64), y=labels.astype(np.float32))
    for name in ("a.csv", "a.npz"):
        found, texts = parts_of(tmp_path / name)
        np.testing.assert_array_equal(found[:, 0], images)
        assert [str(text) for text in texts] == [str(label) for label in labels]


@pytest.mark.parametrize("name", ["id", "Unnamed: 0", "", "ImageId", "__index_level_0__"])
def test_an_index_is_left_out_and_said(tmp_path, digits, name):
    images, labels = digits
    rows = [[f"{90 - row}", *cells] for row, cells in enumerate(table_of(images, labels))]
    header = [name, "label", *(f"pixel{index}" for index in range(784))]
    save_table(tmp_path / "a.csv", rows, header)
    write_parquet(
        tmp_path / "a.parquet",
        dict(zip(header, np.array(rows, np.int64).T, strict=True)),
    )
    for file in ("a.csv", "a.parquet"):
        found, texts = parts_of(tmp_path / file)
        np.testing.assert_array_equal(found[:, 0], images)
        assert [str(text) for text in texts] == [str(label) for label in labels]
        assert says(tmp_path / file, f"neither pixels nor labels are left out: '{re.escape(name)}'")
    save_table(tmp_path / "b.csv", [[row[0], *row[2:]] for row in rows], [name, *header[2:]])
    assert parts_of(tmp_path / "b.csv")[1] is None


def test_a_stranger_among_the_columns_is_named(tmp_path, digits):
    images, labels = digits
    header = ["brightness", "label", *(f"pixel{index}" for index in range(784))]
    rows = [["0.5", *cells] for cells in table_of(images, labels)]
    save_table(tmp_path / "a.csv", rows, header)
    with pytest.raises(FormatError, match="not called like pixels: 'brightness'; leave them out"):
        open_images(tmp_path / "a.csv")
    columns = dict(zip(header, np.array(rows, np.float64).T, strict=True))
    write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(FormatError, match="not called like pixels: 'brightness'; leave them out"):
        open_images(tmp_path / "a.parquet")


def test_names_that_pandas_counts_are_a_header(tmp_path, digits):
    images, labels = digits
    save_table(tmp_path / "a.csv", table_of(images, labels), [str(place) for place in range(785)])
    found, texts = parts_of(tmp_path / "a.csv")
    assert len(found) == 100
    assert texts.tolist() == [str(label) for label in labels]


def test_pixels_of_0_and_1_are_black_and_white(tmp_path, digits):
    images, labels = digits
    bits = (images > 127).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=bits, y=labels)
    (tmp_path / "a-idx3-ubyte").write_bytes(idx(bits))
    save_table(tmp_path / "a.csv", table_of(bits, labels))
    write_parquet_of_columns(tmp_path / "a.parquet", bits, labels)
    for name in ("a.npz", "a-idx3-ubyte", "a.csv", "a.parquet"):
        np.testing.assert_array_equal(parts_of(tmp_path / name)[0][:, 0], bits * 255)
        np.testing.assert_array_equal(
            read_all(open_images(tmp_path / name), 1, 40, 42)[0][:, 0], bits[40:42] * 255
        )
        assert says(tmp_path / name, "its pixels are 0 and 1, and taken for black and white")
    bits = np.repeat(bits, 3, axis=0)
    bits[299, 0, 0] = 9
    np.save(tmp_path / "b.npy", bits)
    with pytest.raises(FormatError, match="a pixel is 9, and the first rows have only 0 and 1"):
        parts_of(tmp_path / "b.npy")


def test_four_arrays_without_names_are_train_and_test(tmp_path, digits):
    images, labels = digits
    parts = images[:60], labels[:60], images[60:], labels[60:]
    np.savez(tmp_path / "a.npz", *parts)
    np.savez(tmp_path / "b.npz", parts[0], parts[2], parts[1], parts[3])
    for name in ("a.npz", "b.npz"):
        file = open_images(tmp_path / name)
        assert file.splits == {"train": range(60), "test": range(60, 100)}
        np.testing.assert_array_equal(read_all(file, 100)[1], labels)
    np.savez(tmp_path / "c.npz", images, labels, images)
    with pytest.raises(
        FormatError, match=r"3 arrays without names, of shapes .*; name them images"
    ):
        open_images(tmp_path / "c.npz")


@pytest.mark.parametrize(
    "names", [("X", "Y"), ("X", "y"), ("Images", "LABELS"), ("data", "Target")]
)
def test_names_of_arrays_are_found_in_any_case(tmp_path, digits, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, digits, strict=True)))
    np.testing.assert_array_equal(parts_of(tmp_path / "a.npz")[1], digits[1])
    split = [f"{name}_{part}" for part in ("train", "Test") for name in names]
    np.savez(tmp_path / "b.npz", **dict(zip(split, [*digits, *digits], strict=True)))
    assert list(open_images(tmp_path / "b.npz").splits) == ["train", "test"]


def test_arrays_that_are_not_read_are_named(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "a.npz", images=images, data=images, target=labels, more=labels)
    assert says(tmp_path / "a.npz", "arrays that are not read: data, more")
    np.testing.assert_array_equal(parts_of(tmp_path / "a.npz")[1], labels)


@pytest.mark.parametrize(
    ("first", "second"),
    [("k49-train-imgs.npz", "k49-train-labels.npz"), ("X_train.npy", "y_train.npy"),
     ("x.npy", "y.npy"), ("train_images.npy", "train_labels.npy"), ("X.npz", "Y.npz")],
)  # fmt: skip
def test_labels_in_a_file_of_their_own_are_found(tmp_path, digits, first, second):
    images, labels = digits
    save = np.save if first.endswith("npy") else np.savez
    save(tmp_path / first, images)
    save(tmp_path / second, labels)
    np.testing.assert_array_equal(parts_of(tmp_path / first)[1], labels)


def test_labels_of_another_number_are_refused(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "a.npz", x=images, y=labels[:50])
    with pytest.raises(FormatError, match=r"y: labels of shape \(50,\) for 100 images"):
        open_images(tmp_path / "a.npz")
    write_idx_pair(tmp_path / "train-images-idx3-ubyte", images, labels[:50])
    with pytest.raises(FormatError, match=r"labels-idx1-ubyte: labels of shape \(50,\)"):
        open_images(tmp_path / "train-images-idx3-ubyte")


def test_a_name_that_promises_nothing_is_no_file_of_images(tmp_path):
    for name in ("a.png", "a.txt", "train-labels-idx1-ubyte", "npy", "a.gz"):
        assert not is_array_file(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["a.npy", "a.npz", "a.csv", "a.csv.gz", "train-images-idx3-ubyte.gz", "a.parquet"]
)
def test_a_mutated_file_is_read_or_refused_and_nothing_else(tmp_path, digits, name):
    write = next(write for known, write in WRITERS if known == name)
    write(tmp_path / name, digits[0][:6], digits[1][:6])
    whole = (tmp_path / name).read_bytes()
    source = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        spoilt = bytearray(whole)
        for _ in range(int(source.integers(1, 4))):
            # Half of them where headers are.
            reach = len(spoilt) if source.random() < 0.5 else min(len(spoilt), 128)
            place = int(source.integers(reach))
            place = place if source.random() < 0.7 else len(spoilt) - 1 - place
            spoilt[place] = int(source.integers(256))
        if source.random() < 0.2:
            spoilt = spoilt[: int(source.integers(len(spoilt)))]
        (tmp_path / name).write_bytes(spoilt)
        try:
            read_all(open_images(tmp_path / name), 4)
        except FormatError:
            refused += 1
    assert refused > 5
