"""What a folder is, it says itself."""

import pytest

from lenet.errors import UsageError
from lenet.system.kinds import MANIFEST, Kind, hold_kind, read_manifest

TEA = Kind("tea parties", frozenset({"cups"}))


def hold(folder):
    return hold_kind(folder, TEA, UsageError, "somebody else is in there")


def test_an_empty_folder_and_one_of_the_kind_are_held(tmp_path):
    folder = tmp_path / "deep" / "down"
    with hold(folder):
        (folder / MANIFEST).write_text('{"kind": "tea parties"}')
        (folder / "cups").mkdir()
    with hold(folder), pytest.raises(UsageError, match="down: somebody else is in there"):
        hold(folder).__enter__()


def test_what_a_killed_process_left_before_its_manifest_is_nobodys(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".inputs.jsonl.7.partial").write_text("half a li")
    with hold(tmp_path):
        assert not (tmp_path / ".inputs.jsonl.7.partial").exists()


@pytest.mark.parametrize(
    "content",
    [None, '{"kind": "coffee"}', "{}", "[]", "tea parties", "", "\0" * 9, "[" * 100_000],
)
def test_a_folder_that_does_not_say_so_is_refused_and_nothing_is_written(tmp_path, content):
    """A lock and folders of the right names say nothing."""
    (tmp_path / ".lock").touch()
    (tmp_path / "shards").mkdir()
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    before = sorted(tmp_path.iterdir())
    words = "already there, and not a folder of tea parties: no manifest.json says so; choose"
    with pytest.raises(UsageError, match=words), hold(tmp_path):
        pass
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_manifest_beside_all_signs_is_said_and_made_again(tmp_path):
    (tmp_path / "cups").mkdir()
    (tmp_path / MANIFEST).write_text('{"kind": "tea par')
    said = pytest.warns(UserWarning, match=r"manifest.json is damaged; it is made again")
    with said, hold(tmp_path):
        assert read_manifest(tmp_path) is None


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="file: a file is there, and no folder"):
        hold(tmp_path / "file").__enter__()
    with pytest.raises(UsageError, match="below: cannot write in it: Not a directory"):
        hold(tmp_path / "file" / "below").__enter__()
