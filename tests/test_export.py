import numpy as np
import pytest
from conftest import run_lenet

from lenet import data
from lenet.data.pictures.convention import AS_GIVEN
from lenet.data.pictures.picture import read_picture
from lenet.errors import UsageError


def test_the_pictures_are_the_images_in_folders_by_class(tmp_path):
    digits = data.load("digits")
    assert data.export(digits, "test", tmp_path / "out", 50) == 50
    files = sorted((tmp_path / "out").rglob("*.png"), key=lambda path: path.name)
    assert len(files) == 50
    assert {path.name for path in (tmp_path / "out").iterdir()} == set("0123456789")
    for index, path in enumerate(files):
        assert path.parent.name == str(digits.test.labels[index])
        read = read_picture(path, (1, 28, 28), AS_GIVEN)
        np.testing.assert_array_equal(read.given, digits.test.images[index])


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="there is something in it; name a new folder"):
        data.export(data.load("digits"), "test", tmp_path)


def test_the_command_line_exports(tmp_path):
    code, out, err = run_lenet("data", "export", "digits", tmp_path / "x", "--count", 7)
    assert (code, err) == (0, "")
    assert out == f"7 pictures are in {tmp_path / 'x'}\n"
    code, _, err = run_lenet("data", "export", "digits", tmp_path / "y", "--split", "val")
    assert code == 2
    assert "'val' is not one of 'train', 'test'" in err
