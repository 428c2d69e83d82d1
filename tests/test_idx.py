import gzip
import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.data.files.idx import read_idx, read_stream
from lenet.errors import FormatError


def idx(array, code=0x08):
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_is_read_back(tmp_path, compressed):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    content = gzip.compress(idx(array)) if compressed else idx(array)
    (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_big_endian_numbers_come_in_the_machines_order(tmp_path):
    array = np.array([[1, -2], [300, 70_000]], ">i4")
    (tmp_path / "a").write_bytes(idx(array, 0x0C))
    found = read_idx(tmp_path / "a")
    assert found.dtype == np.dtype("=i4")
    np.testing.assert_array_equal(found, array)


HUGE = 2**32 - 1
HOSTILE = {
    "empty": (b"", "not an IDX file"),
    "short": (b"\0\0\x08", "not an IDX file"),
    "magic": (b"\1\0\x08\x01" + bytes(8), "not an IDX file"),
    "html": (b"<!DOCTYPE html><html>", "not an IDX file"),
    "type": (b"\0\0\x07\x01" + struct.pack(">I", 1) + b"x", "type code 0x07"),
    "no dimension": (b"\0\0\x08\x00", "0 dimensions"),
    "255 dimensions": (b"\0\0\x08\xff" + bytes(1020), "255 dimensions"),
    "header cut": (b"\0\0\x08\x03" + bytes(7), "its header is cut short"),
    "huge": (b"\0\0\x08\x03" + struct.pack(">3I", HUGE, HUGE, HUGE), "too many to be IDX"),
    "huge doubles": (b"\0\0\x0e\x01" + struct.pack(">I", HUGE), "too many to be IDX"),
    "no data": (b"\0\0\x08\x01" + struct.pack(">I", 2**31), "but it has only 0"),
    "data cut": (b"\0\0\x08\x01" + struct.pack(">I", 4) + b"abc", "but it has only 3"),
    "trailing": (b"\0\0\x08\x01" + struct.pack(">I", 2) + b"abc", "but it has more"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_with_its_name(tmp_path, content, message):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(FormatError, match=rf"bad: .*{message}"):
        read_idx(tmp_path / "bad")


def test_hostile_files_are_refused_under_python_O_too_and_without_memory(tmp_path):
    for name, (content, _) in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
    code = """
import resource, sys
from pathlib import Path
import numpy
from lenet.data.files.idx import read_idx
from lenet.errors import FormatError
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_idx(path)
    except FormatError:
        print("refused", path.name)
"""
    done = subprocess.run(
        [sys.executable, "-O", "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"refused {name}" for name in sorted(HOSTILE)]


@pytest.mark.parametrize("content", [b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(20)])
def test_a_broken_gzip_is_refused(tmp_path, content):
    (tmp_path / "bad.gz").write_bytes(content)
    with pytest.raises(FormatError, match=r"bad\.gz: damaged"):
        read_idx(tmp_path / "bad.gz")


def test_a_gzip_cut_short_is_refused(tmp_path):
    whole = gzip.compress(idx(np.zeros((100, 28, 28), np.uint8) + np.arange(28, dtype=np.uint8)))
    (tmp_path / "bad.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"bad\.gz: damaged"):
        read_idx(tmp_path / "bad.gz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match="absent: cannot read this file: No such file"):
        read_idx(tmp_path / "absent")


def read_or_refuse(content):
    try:
        array = read_stream(io.BytesIO(content), "fuzz")
    except FormatError:
        return
    assert array.nbytes < len(content)


@given(st.binary(max_size=64))
def test_any_bytes_give_an_array_or_a_clear_error(content):
    read_or_refuse(content)


@given(st.binary(max_size=40), st.integers(1, 4), st.sampled_from([0x08, 0x0C, 0x0E]))
def test_any_bytes_behind_a_true_magic_give_an_array_or_a_clear_error(content, dimensions, code):
    read_or_refuse(bytes([0, 0, code, dimensions]) + content)
