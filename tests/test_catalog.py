from lenet.data.catalog import CATALOG


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
            digest = file.sha256 or file.md5 or (entry.archive and entry.archive.md5)
            assert len(digest) in (32, 64), file.name


def test_the_numbers_of_classes_are_the_published_ones():
    counts = {name: len(entry.class_names) for name, entry in CATALOG.items()}
    assert counts["emnist-byclass"] == 62
    assert counts["emnist-bymerge"] == counts["emnist-balanced"] == 47
    assert counts["emnist-letters"] == 26
    assert {counts[name] for name in ("fashion-mnist", "mnist", "kmnist", "digits")} == {10}
