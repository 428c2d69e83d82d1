"""Which file a list means by a name: its path, or as much of it as is right on this machine."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from lenet.data.files.columns import whole
from lenet.data.own.collection import split_called
from lenet.data.own.layout import files_below, is_picture, printable, subfolders, visible


class Places:
    """The pictures at any depth below `root`, found by their names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders = {_key(folder.name) for folder in subfolders(root)}
        self._by_name: dict[str, list[Path]] | None = None

    def of(self, name: str, base: Path, split: str | None = None) -> Sequence[Path]:
        """The files that `name`, in a list in the folder `base`, may mean.

        Its path from there is taken first.  Otherwise it is a picture by its last part, with its
        ending or without, in any case, whole numbers also without their zeros in front.  Folders
        before that have to fit, unless they are those of another machine: then the more of them
        fit the better.  Of several pictures those in a folder that is called like `split` count.
        """
        name = name.replace("\\", "/")
        if not name or "\0" in name:
            return ()
        try:
            if (base / name).is_file():
                return (base / name,)
        except OSError:  # longer than any file's name
            return ()
        parts = PurePosixPath(re.sub(r"^([A-Za-z]:)?/+", "", name)).parts
        if not parts:
            return ()
        found = self._called(parts[-1])
        if folders := [_key(part) for part in parts[:-1]]:
            here = parts == PurePosixPath(name).parts and folders[0] in self._folders
            found = self._in_folders(found, folders, len(folders) if here else 0)
        preferred = [path for path in found if split and split in self._splits_of(path)]
        return preferred or found

    def missing(self, candidates: Sequence[Path]) -> str:
        """Why `candidates` are not one file."""
        if not candidates:
            return (
                f"no file of this name is in {self.root} or below; names are paths from the "
                "list's folder, or names of pictures below it"
            )
        several = ", ".join(printable(path, self.root) for path in candidates[:3])
        return f"{len(candidates)} files are called so: {several}; write the path"

    def _called(self, last: str) -> list[Path]:
        if self._by_name is None:
            self._by_name = self._index()
        number = whole(last)
        keys = (_key(last), number, _number(number))
        return next((self._by_name[key] for key in keys if key in self._by_name), [])

    def _in_folders(self, found: Iterable[Path], folders: list[str], least: int) -> list[Path]:
        """Those of which most folders fit, `least` of them at least, counted from the last one."""
        fitting = defaultdict(list)
        for path in found:
            real = [_key(part) for part in path.relative_to(self.root).parent.parts]
            count = 0
            for one, other in zip(reversed(real), reversed(folders), strict=False):
                if one != other:
                    break
                count += 1
            fitting[count].append(path)
        most = max(fitting, default=0)
        return fitting[most] if most >= least else []

    def _splits_of(self, path: Path) -> set[str | None]:
        return {split_called(part) for part in path.relative_to(self.root).parent.parts}

    def _index(self) -> dict[str, list[Path]]:
        """Pictures by their names, with their endings and without, and by their numbers."""
        found: dict[str, list[Path]] = defaultdict(list)
        # A folder beside the list may be a link to where the pictures are.
        for top in visible(self.root):
            for path in files_below(top) if top.is_dir() else (top,):
                if is_picture(path) and path.is_file():
                    for key in dict.fromkeys(
                        (_key(path.name), _key(path.stem), _number(path.stem))
                    ):
                        found[key].append(path)
        return found


def _key(name: str) -> str:
    """One spelling of a name: systems differ in cases and in how they compose letters."""
    return unicodedata.normalize("NFC", name).casefold()


def _number(stem: str) -> str:
    """Tables of numbers lose the zeros in front; what is no number stays what it is."""
    return str(int(stem)) if re.fullmatch(r"[0-9]{1,18}", stem) else _key(stem)
