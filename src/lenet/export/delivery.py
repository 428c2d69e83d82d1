"""The order of things: written aside, run, proved, and only then put under its final name."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from lenet.errors import ExportError, UsageError
from lenet.export.base import PREPARATION, Format, Options, Trained
from lenet.export.formats import FORMATS, find_format
from lenet.export.proof import Proof, prove
from lenet.network import Spec
from lenet.runs import checkpoint as checkpoints
from lenet.system import machine
from lenet.system.facts import build, read_object
from lenet.system.files import name_aside, one_name, sync_file, sync_folder, write_whole

PROOF = "proof.json"
"""The proof: in an exported folder, or beside an exported file with its name before it."""


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, at `path`, with its proof."""

    path: Path
    proof: Proof


def export(trained: Trained, to: str, out: Path, options: Options) -> Exported:
    """Write `trained` in the format `to`, prove it, and write the proof beside it.

    `out` is the file (for some formats the folder), or a folder that is there, in which it gets its
    usual name.

    Raises:
        UsageError: if there is no such format, it knows no such option, or it cannot be written
            there, or would replace what was not exported.
        MissingExtraError: if a package is missing that it needs.
        ExportError: if what was written answers otherwise than the run; nothing is left.
    """
    row = find_format(to, options)
    _check_preparation(trained.spec)
    row.need()
    target = _target(out, row, trained)
    try:
        with _aside(target) as aside:
            row.write(trained, options, aside)
            proof = _prove(trained, to, options, aside, target)
            _put(aside, target, proof, folder=row.folder)
    except ExportError as error:
        raise ExportError(f"{error}; nothing was written to {target}") from error
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written: {error.strerror or error}; name another place"
        ) from error
    return Exported(target, proof)


def _check_preparation(spec: Spec) -> None:
    """Refuse what no format can say.

    Raises:
        UsageError: naming the steps.
    """
    unknown = [step for step in spec.preparation if step not in PREPARATION]
    if unknown:
        raise UsageError(
            f"no export knows the preparation ({', '.join(unknown)}) of {spec.name}; use it with "
            "lenet.load or lenet.load_module"
        )


def usual_name(to: str, spec: Spec) -> str:
    """What an exported file or folder is called; raises `UsageError` if there is no such format."""
    return _named(find_format(to, Options()), spec)


def _named(row: Format, spec: Spec) -> str:
    return row.file_name.format(model=one_name(spec.name))


def check(trained: Trained, path: Path) -> Proof:
    """Repeat the proof of what was exported to `path`.

    Raises:
        ExportError: if it has no proof, is not what was proved, comes from another checkpoint, or
            answers otherwise.
        MissingExtraError: if a package is missing that runs it.
    """
    old = read_proof(path)
    row = FORMATS[old.format]
    row.need()
    _check_digests(path, old)
    new = _prove(trained, old.format, build(Options, old.options, "options"), path, path)
    if new.checkpoint_sha256 != old.checkpoint_sha256:
        raise ExportError(
            f"{path}: it was exported from another checkpoint than this (SHA-256 "
            f"{old.checkpoint_sha256[:16]}... and {new.checkpoint_sha256[:16]}...), though it "
            "answers like it; name its run, or its checkpoint, last or best"
        )
    return new


def _check_digests(path: Path, old: Proof) -> None:
    """A file may be called otherwise than it was; a folder may have more than it had."""
    found = _digests(path, next(iter(old.sha256), path.name))
    changed = sorted(name for name in old.sha256 if found.get(name) != old.sha256[name])
    if changed:
        raise ExportError(
            f"{path}: not what was proved: {', '.join(changed)} changed; export it again"
        )


def proof_path(path: Path) -> Path:
    """Where the proof of an exported file or folder is."""
    return path / PROOF if path.is_dir() else path.with_name(f"{path.name}.{PROOF}")


def read_proof(path: Path) -> Proof:
    """The proof beside an exported file.

    Raises:
        ExportError: if nothing was exported there, or there is no proof of this kind.
    """
    if not path.exists():
        raise ExportError(f"{path}: nothing is there; name an exported file or folder")
    place = proof_path(path)
    try:
        proof = build(Proof, read_object(place), "the proof", complete=True)
        build(Options, proof.options, "its options")
    except FileNotFoundError as error:
        raise ExportError(
            f"{path}: no proof is beside it ({place.name}); export it again"
        ) from error
    except (OSError, ValueError) as error:
        raise ExportError(f"{place}: cannot read this proof: {error}; export it again") from error
    if proof.format not in FORMATS:
        raise ExportError(f"{place}: no format is called {proof.format!r}; update lenet")
    return proof


def _target(out: Path, row: Format, trained: Trained) -> Path:
    """Where it goes: `out`, or for a file under its usual name in the folder `out`."""
    if not row.folder:
        out = out / _named(row, trained.spec) if out.is_dir() else out
        if out.exists() and not out.is_file():
            raise UsageError(f"{out}: already there, and no file; choose another place")
        if out.exists() and not proof_path(out).exists():
            raise UsageError(
                f"{out}: already there, with no proof beside it ({proof_path(out).name}), so it "
                "was not exported; choose another place"
            )
        return out
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: a file is there, and no folder; choose another place")
    strange = sorted(_strange(out))
    if strange:
        raise UsageError(
            f"{out}: already there, with {strange[0]!r} in it, which was not exported; choose "
            "another place"
        )
    return out


def _strange(folder: Path) -> set[str]:
    """The names in a folder that no export left there; Python leaves its cache."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    known = {PROOF, "__pycache__"}
    if PROOF in names:
        known |= read_proof(folder).sha256.keys()
    return names - known


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Where it is made; nothing is left there in the end."""
    aside, parent = name_aside(target.absolute()), target.absolute().parent
    new = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        if new:
            with suppress(OSError):  # there is something in it: what was made
                parent.rmdir()


def _put(aside: Path, target: Path, proof: Proof, *, folder: bool) -> None:
    """Give it its name, the proof first: a file whose proof is of another has its digest wrong."""
    text = json.dumps(proof.facts(), indent=2) + "\n"
    if not folder:
        sync_file(aside)
        write_whole(target.with_name(f"{target.name}.{PROOF}"), text)
        os.replace(aside, target)
    else:
        for path in aside.rglob("*"):
            if path.is_file():
                sync_file(path)
        write_whole(aside / PROOF, text)
        with _aside(target) as old:
            if target.exists():
                os.replace(target, old)
            try:
                os.replace(aside, target)
            except OSError:
                if old.exists():
                    os.replace(old, target)
                raise
    sync_folder(target.absolute().parent)


def _prove(trained: Trained, to: str, options: Options, path: Path, named: Path) -> Proof:
    """Ask what is at `path`, which is or will be called `named`."""
    row = FORMATS[to]
    reference = row.reference(trained, options)
    stored = None if row.stored is None else row.stored(trained, path)
    findings = prove(
        trained, reference, lambda images: row.answer(trained, options, path, images), stored
    )
    return Proof(
        format=to,
        sha256=_digests(path, named.name),
        bytes=sum(each.stat().st_size for each in _files(path)),
        options=asdict(options),
        run=trained.run,
        model=trained.spec.name,
        checkpoint_sha256=checkpoints.digest(trained.checkpoint),
        receipt_sha256=trained.receipt_sha256,
        data=trained.dataset.name,
        data_sha256=trained.dataset.digests,
        findings=findings,
        bound=reference.derivation,
        judge=row.judge(),
        engine=f"{trained.engine.name}, {trained.engine.detail}",
        versions=machine.versions(),
        machine=machine.describe(),
        command=_command(trained, named),
    )


def _command(trained: Trained, named: Path) -> str:
    """What repeats the proof; empty where there is no run's folder to name."""
    if not trained.run:
        return ""
    words = ["lenet export --check", shlex.quote(str(named)), trained.run]
    if trained.which is not None:
        words.append(f"--checkpoint {trained.which}")
    return " ".join(words)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file() and each.name != PROOF)


def _digests(path: Path, name: str) -> dict[str, str]:
    """SHA-256 by name: of the file, which is called `name`, or of each file in the folder."""
    return {
        name if path.is_file() else each.relative_to(path).as_posix(): hashlib.sha256(
            each.read_bytes()
        ).hexdigest()
        for each in _files(path)
    }
