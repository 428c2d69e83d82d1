"""The C file at work: compiled by this machine's compiler, and asked."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.errors import ExportError, UsageError
from lenet.system.scratch import scratch_folder

COMPILERS = ("cc", "gcc", "clang")

FLAGS = ("-std=c99", "-O3", "-Wall", "-Wextra", "-Wconversion", "-pedantic")

TIME_LIMIT = 600.0
"""Seconds, of a compiler or of the program: a hundred times what they take."""


def find_compiler() -> list[str]:
    """The words of `CC` in the environment, or the first compiler that is there.

    Raises:
        UsageError: if there is none.
    """
    named = shlex.split(os.environ.get("CC", ""))
    for words in [named] if named else [[name] for name in COMPILERS]:
        if shutil.which(words[0]):
            return words
    tried = named[0] if named else ", ".join(COMPILERS)
    raise UsageError(
        f"an export to C is proved by compiling it, and there is no C compiler ({tried}); install "
        "one (on Debian and Ubuntu: apt install gcc), or name it in CC"
    )


def compiler_version() -> str:
    """What the compiler calls itself, with the flags that it gets."""
    words = find_compiler()
    said = _run([*words, "--version"], b"").stdout.decode("utf-8", "replace")
    return f"{(said.splitlines() or [words[0]])[0]} {' '.join(FLAGS[:2])}"


def compile_program(source: Path, program: Path) -> None:
    """Make `source` a program that answers images.

    Raises:
        UsageError: if there is no compiler.
        ExportError: if it refuses the file, with its first words.
    """
    done = _run(
        [*find_compiler(), *FLAGS, "-DLENET_MAIN", "-x", "c", str(source), "-o", str(program)], b""
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        said = next((line for line in lines if "error" in line), "".join(lines[:1]))
        raise ExportError(f"the compiler refuses the exported file: {said}")


def ask_program(
    program: Sequence[str], images: NDArray[np.uint8], class_names: Sequence[str]
) -> list[list[str]]:
    """What `program` prints of each image, as words: scores or logits (n, classes).

    Raises:
        ExportError: if it fails, or names another class than that of its largest answer.
    """
    done = _run(program, np.ascontiguousarray(images).tobytes())
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise ExportError(f"the exported program ends with {done.returncode}: {said}")
    return read_answers(done.stdout.decode("utf-8", "replace"), len(images), class_names)


def read_answers(text: str, count: int, class_names: Sequence[str]) -> list[list[str]]:
    """The answers in what a program printed of `count` images.

    Raises:
        ExportError: if there are more or fewer, or one names another class than its largest.
    """
    lines = text.split("\n")[:-1]
    if len(lines) != count:
        raise ExportError(f"the exported program gives {len(lines):,} answers to {count:,} images")
    rows = []
    for number, line in enumerate(lines):
        label, *answers, name = line.split("\t")
        if len(answers) != len(class_names):
            raise ExportError(f"the exported program answers image {number} with {line[:60]!r}")
        likeliest = max(range(len(answers)), key=lambda index: float(answers[index]))
        if int(label) != likeliest or name != class_names[likeliest]:
            raise ExportError(
                f"the exported program calls image {number} {label} {name!r}, and its largest "
                f"answer is that of {likeliest} {class_names[likeliest]!r}"
            )
        rows.append(answers)
    return rows


def answer_source(
    source: Path, images: NDArray[np.uint8], class_names: Sequence[str]
) -> list[list[str]]:
    """Compile the file and ask it; see `ask_program`.

    Raises:
        UsageError, ExportError: as `compile_program` and `ask_program`.
    """
    with scratch_folder("program") as folder:
        program = folder / "network"
        compile_program(source, program)
        return ask_program([str(program)], images, class_names)


def _run(words: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            words, input=given, capture_output=True, timeout=TIME_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{words[0]} cannot be run: {error}") from error
