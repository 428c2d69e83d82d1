import re

from lenet.data.published.catalog import CATALOG


def test_the_rows_are_these():
    assert list(CATALOG) == [
        "fashion-mnist", "mnist", "kmnist", "qmnist",
        "emnist-balanced", "emnist-byclass", "emnist-bymerge", "emnist-letters", "emnist-digits",
        "emnist-mnist", "digits",
    ]  # fmt: skip


def test_every_mirror_is_https_and_a_folder():
    for entry in CATALOG.values():
        assert all(mirror.startswith("https://") for mirror in entry.mirrors)
        assert all(mirror.endswith("/") for mirror in entry.mirrors)


def test_every_file_has_a_digest_of_its_own_or_of_its_archive():
    for entry in CATALOG.values():
        for file in entry.files:
            container = file.container or (entry.archive and entry.archive.digest)
            digest = f"sha256:{file.sha256}" if file.sha256 else container
            assert re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", digest), file.name


def test_the_names_of_the_classes_can_be_drawn_in_any_font():
    for entry in CATALOG.values():
        assert all(name.isascii() for name in entry.class_names)
        assert len(set(entry.class_names)) == len(entry.class_names)


def test_the_numbers_of_classes_are_the_published_ones():
    counts = {name: len(entry.class_names) for name, entry in CATALOG.items()}
    assert counts["emnist-byclass"] == 62
    assert counts["emnist-bymerge"] == counts["emnist-balanced"] == 47
    assert counts["emnist-letters"] == 26
    assert {counts[name] for name in ("fashion-mnist", "mnist", "kmnist", "digits")} == {10}
