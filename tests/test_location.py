import gzip
import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest

from lenet import data
from lenet.data.published import catalog, digest, download, location
from lenet.errors import DataNotFoundError, DigestError, FormatError

PAYLOADS = [b"first", b"second!", b"third", b"4"]


@pytest.fixture
def entry(monkeypatch, tmp_path):
    """A row of four small files; the places of this machine are out of sight."""
    files = tuple(
        catalog.DataFile(f"file{index}", len(content), hashlib.sha256(content).hexdigest())
        for index, content in enumerate(PAYLOADS)
    )
    row = replace(catalog.CATALOG["mnist"], name="small", files=files)
    monkeypatch.setitem(catalog.CATALOG, "small", row)
    monkeypatch.setattr(digest.platformdirs, "user_cache_dir", lambda name: tmp_path / "cache")
    monkeypatch.setattr(location, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.delenv("LENET_DATA_DIR", raising=False)
    return row


def fill(folder, compressed=False):
    folder.mkdir(parents=True)
    for index, content in enumerate(PAYLOADS):
        name = f"file{index}.gz" if compressed else f"file{index}"
        (folder / name).write_bytes(pack(content) if compressed else content)


def pack(content):
    return gzip.compress(content, mtime=0)


def test_places_are_searched_in_the_documented_order(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_DATA_DIR", str(tmp_path / "environment"))
    places = ["system", "cache", "environment", "named"]
    assert data.locate("small", tmp_path / "named") is None
    for place in places:
        fill(tmp_path / place / "small", compressed=place == "system")
        found = data.locate("small", tmp_path / "named")
        assert found.folder == tmp_path / place / "small"


def test_a_folder_with_a_file_missing_is_passed_over(entry, tmp_path):
    fill(tmp_path / "cache" / "small")
    (tmp_path / "cache" / "small" / "file2").unlink()
    assert data.locate("small") is None


def test_loose_files_count_only_if_their_digests_fit(entry, tmp_path):
    fill(tmp_path / "named")
    assert data.locate("small", tmp_path / "named").folder == tmp_path / "named"
    (tmp_path / "named" / "file3").write_bytes(b"5")
    assert data.locate("small", tmp_path / "named") is None


@pytest.fixture
def packed(entry):
    """The row again, but now its containers have digests and its payloads have none."""
    files = tuple(
        replace(file, sha256=None, container=f"md5:{hashlib.md5(pack(content)).hexdigest()}")
        for file, content in zip(entry.files, PAYLOADS, strict=True)
    )
    catalog.CATALOG["small"] = replace(entry, files=files)
    return catalog.CATALOG["small"]


def test_loose_files_of_the_same_names_are_not_taken_for_a_set_without_payload_digests(
    packed, tmp_path
):
    fill(tmp_path / "named")
    assert data.locate("small", tmp_path / "named") is None
    fill(tmp_path / "original", compressed=True)
    assert data.locate("small", tmp_path / "original").folder == tmp_path / "original"


def test_mnist_is_not_kmnist_though_its_files_have_the_same_names(mnist_folder, monkeypatch):
    monkeypatch.delenv("LENET_DATA_DIR")
    location = data.locate("kmnist", mnist_folder / "mnist")
    assert location is None or location.folder != mnist_folder / "mnist"


def test_a_container_that_is_not_the_published_one_is_refused(packed, tmp_path):
    fill(tmp_path / "named" / "small", compressed=True)
    there = data.locate("small", tmp_path / "named")
    assert len(location.check_digests(packed, there)) == 4
    there.paths[0].write_bytes(pack(b"FIRST"))
    with pytest.raises(DigestError, match=r"file0.gz: its MD5 is .* --force"):
        location.check_digests(packed, there)


def test_a_payload_that_nothing_can_be_said_about_is_refused(packed, tmp_path):
    fill(tmp_path / "named" / "small")
    there = data.locate("small", tmp_path / "named")
    with pytest.raises(
        DigestError, match=r"file0: no digest is published for .* only for file0.gz"
    ):
        location.check_digests(packed, there)


def test_a_download_that_was_damaged_later_is_fetched_again(entry, tmp_path, monkeypatch):
    fill(tmp_path / "cache" / "small")
    (tmp_path / "cache" / "small" / "file0").write_bytes(b"FIRST")
    fetched = []
    monkeypatch.setattr(download, "fetch", lambda entry, folder, *_, **__: fetched.append(folder))
    with pytest.warns(UserWarning, match="fetching small again: .*file0: its SHA-256 is"):
        data.get("small")
    assert fetched == [tmp_path / "cache" / "small"]


def test_a_damaged_file_in_the_users_own_folder_is_left_to_the_user(entry, tmp_path):
    fill(tmp_path / "named" / "small")
    (tmp_path / "named" / "small" / "file0").write_bytes(b"FIRST")
    assert data.get("small", tmp_path / "named").folder == tmp_path / "named" / "small"
    with pytest.raises(DigestError, match="file0: its SHA-256 is"):
        data.load("small", tmp_path / "named")


def test_a_wrong_digest_names_file_digests_and_cure(entry, tmp_path):
    fill(tmp_path / "cache" / "small")
    (tmp_path / "cache" / "small" / "file0").write_bytes(b"FIRST")
    with pytest.raises(DigestError, match=r"file0: its SHA-256 is .* lenet data get small --force"):
        location.check_digests(entry, data.locate("small"))
    with pytest.raises(DigestError, match="file0: its SHA-256"):
        data.verify("small")


def test_a_payload_that_is_too_long_is_refused_while_reading(entry, tmp_path):
    fill(tmp_path / "cache" / "small", compressed=True)
    bomb = gzip.compress(bytes(10_000_000))
    (tmp_path / "cache" / "small" / "file0.gz").write_bytes(bomb)
    with pytest.raises(FormatError, match="longer than the 5 bytes that it should have"):
        data.verify("small")


def test_a_digest_is_remembered_until_the_file_changes(entry, tmp_path, monkeypatch):
    fill(tmp_path / "cache" / "small")
    where = data.locate("small")
    first = location.check_digests(entry, where)
    monkeypatch.setattr(digest, "open_payload", lambda path: pytest.fail(f"read {path} again"))
    assert location.check_digests(entry, where) == first
    monkeypatch.undo()
    path = where.paths[0]
    path.write_bytes(b"FIRST")
    os.utime(path, ns=(1, 1))
    assert digest.remembered_digest(path, 5) != first["file0"]


@pytest.mark.parametrize("memory", ["", "[]", "null", '{"x": 3}', "{"])
def test_a_damaged_memory_of_digests_costs_only_time(entry, tmp_path, memory):
    fill(tmp_path / "cache" / "small")
    (tmp_path / "cache" / "digests.json").write_text(memory)
    assert len(location.check_digests(entry, data.locate("small"))) == 4


def test_verify_says_what_was_published(entry, tmp_path):
    fill(tmp_path / "cache" / "small")
    rows = data.verify("small")
    assert [row.expected == f"sha256:{row.sha256}" for row in rows] == [True] * 4
    assert data.verify("digits") == []


def test_a_set_that_is_nowhere_is_named_with_the_places(entry, tmp_path):
    with pytest.raises(DataNotFoundError, match=r"small: not in .*cache.*lenet data get small"):
        data.verify("small")


def test_the_real_files_carry_the_published_digests(fashion_mnist):
    rows = data.verify(fashion_mnist)
    assert all(row.expected == f"sha256:{row.sha256}" for row in rows)


def test_images_of_the_wrong_kind_are_refused(entry, tmp_path):
    folder = tmp_path / "cache" / "small"
    folder.mkdir(parents=True)
    array = np.zeros((2, 3), np.uint8)
    head = bytes([0, 0, 8, 2]) + np.array(array.shape, ">u4").tobytes()
    content = head + array.tobytes()
    sha256 = hashlib.sha256(content).hexdigest()
    files = tuple(catalog.DataFile(f"file{index}", len(content), sha256) for index in range(4))
    catalog.CATALOG["small"] = replace(entry, files=files)
    for index in range(4):
        (folder / f"file{index}").write_bytes(content)
    with pytest.raises(FormatError, match=r"file0: holds uint8 \(2, 3\), not uint8 pictures"):
        data.load("small")
