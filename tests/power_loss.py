"""Trains, and notes what a disk that keeps only what was flushed could hold at each moment.

What fsync promises: of a file, the content when it was last flushed; of a folder, the entries when
it was last flushed.  Anything newer may be there or not.  The states that follow from that are
written to a folder, to be resumed from.
"""

import os
import pickle
import sys
from pathlib import Path

import lenet

target, root = Path(sys.argv[1]), Path(sys.argv[2])

contents, entries = {}, {}  # by inode, and by folder: what is flushed
generations, states = {}, []


def identity(path):
    found = path.lstat()
    return found.st_ino, generations.get(found.st_ino, 0)


def tree():
    """Each file with its identity and content, and each folder, as they are now."""
    files, folders = {}, []
    for place, _, names in os.walk(root):
        folders.append(str(Path(place).relative_to(root)))
        for name in names:
            path = Path(place) / name
            files[str(path.relative_to(root))] = (identity(path), path.read_bytes())
    return files, folders


def listing(folder):
    return {path.name: identity(path) for path in folder.iterdir()}


def note(what):
    """The states that a loss of power now may leave."""
    files, _ = tree()
    old = {}
    walk("", identity(root), old)
    late = {name: contents.get(key, b"") for name, (key, _) in files.items()}
    early = dict(old)
    torn = {name: data[: len(data) // 2] if contents.get(key) is None else contents[key]
            for name, (key, data) in files.items()}  # fmt: skip
    for state in (early, late, torn):
        if state not in [each for _, each in states[-6:]]:
            states.append((what, state))


def walk(place, folder, found):
    """The files that can be reached through flushed entries, with their flushed content."""
    for name, key in entries.get(folder, {}).items():
        below = f"{place}/{name}" if place else name
        if key in entries:
            walk(below, key, found)
        elif key in contents:
            found[below] = contents[key]
        else:
            found[below] = b""


real = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "mkdir")}


def fsync(descriptor):
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    note(f"before fsync of {path.name}")
    real["fsync"](descriptor)
    if path != root and root not in path.parents:
        return
    if path.is_dir():
        entries[identity(path)] = listing(path)
    else:
        contents[identity(path)] = path.read_bytes()
    note(f"after fsync of {path.name}")


def replace(source, destination, **options):
    note(f"before rename to {Path(destination).name}")
    inode = os.lstat(destination).st_ino if os.path.lexists(destination) else None
    real["replace"](source, destination, **options)
    if inode is not None:
        generations[inode] = generations.get(inode, 0) + 1
    note(f"after rename to {Path(destination).name}")


def unlink(path, **options):
    inode = os.lstat(path).st_ino if os.path.lexists(path) else None
    real["unlink"](path, **options)
    if inode is not None:
        generations[inode] = generations.get(inode, 0) + 1
    note(f"after unlink of {Path(path).name}")


os.fsync, os.replace, os.unlink = fsync, replace, unlink
entries[identity(root)] = {}
lenet.train(
    data="digits", epochs=2, batch_size=256, learning_rate=0.3, validation=100,
    out=root / "run", engine="native", threads=1,
)  # fmt: skip
target.write_bytes(pickle.dumps(states))
