"""The printed characters that are the targets of radial basis units."""

import numpy as np
import pytest

from lenet.errors import SpecError
from lenet.network import RadialBasis, characters


def test_there_are_the_95_characters_of_figure_3():
    pictures = characters.pictures()
    assert len(pictures) == characters.COUNT
    assert all(picture.shape == (12, 7) for picture in pictures.values())
    assert {value for picture in pictures.values() for value in np.unique(picture)} == {-1.0, 1.0}
    assert (pictures[" "] == -1).all()


def test_the_distances_between_the_digits_are_those_of_the_papers_pixels():
    codes = characters.codes(10)
    apart = (codes[:, None] != codes[None]).sum(axis=2)
    between = apart[~np.eye(10, dtype=bool)]
    assert between.min() == apart[6, 8] == 12
    assert between.max() == apart[1, 4] == apart[1, 8] == apart[4, 7] == 50
    assert apart[0, 4] == apart[8, 9] == 18


def test_a_one_is_the_papers():
    rows = ["".join("#" if dot > 0 else "." for dot in row) for row in characters.pictures()["1"]]
    assert rows == [
        "...##..", "..###..", ".####..", "...##..", "...##..", "...##..",
        "...##..", "...##..", "...##..", ".######", ".......", ".......",
    ]  # fmt: skip


def test_classes_beyond_ten_go_on_with_letters():
    names = list(characters.pictures())
    assert "".join(names[:12]) == "0123456789AB"
    assert "".join(names[36:38]) == "ab"


def test_more_classes_than_characters_are_refused():
    with pytest.raises(SpecError, match="96 classes, and the paper prints 95 characters"):
        RadialBasis("output", 96).check((84, 1, 1))
