"""What every training begins with."""

import numpy as np
import pytest
from conftest import need_native

import lenet
from lenet.errors import EngineError, SpecError
from lenet.training import setup

need_native()


def test_a_network_too_large_for_the_engine_is_refused_before_its_weights(tmp_path, monkeypatch):
    images = np.zeros((20, 1000, 1000), np.uint8)
    images[::2, 400:600, 400:600] = 200
    images[:, 0, 0] = range(20)
    drawn = []
    monkeypatch.setattr(setup, "initial_weights", lambda *given: drawn.append(given))
    with pytest.raises(EngineError, match=r"layer F5|layer .*: it is too large"):
        lenet.train(data=(images, [0, 1] * 10), engine="native", epochs=1, out=tmp_path / "run")
    assert not drawn
    assert not (tmp_path / "run").exists()


def test_small_images_in_a_file_name_the_flag_that_enlarges_them(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "small.npz", x=rng.integers(0, 255, (60, 8, 8)), y=np.arange(60) % 2)
    with pytest.raises(SpecError, match=r"small are 8x8 as they are stored; make .* --size 28"):
        lenet.train(data=tmp_path / "small.npz", epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
