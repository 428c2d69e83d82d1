"""`python -m bench.microcontroller RUN...`: what the C file costs on microcontrollers, emulated.

Debian and Ubuntu: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc gcc-avr avr-libc simavr.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lenet
from lenet.export.program.compilation import read_answers

PARTS = Path(__file__).with_name("boards")

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic")

SECONDS = 600
"""A board may take; an emulator that a fault has stopped takes as long as it may."""

FORMATS = (32, 8, 4)


@dataclass(frozen=True)
class Board:
    """A processor: how to build for it and how to emulate it.

    `most` is how many images of 784 bytes fit in its program.  An AVR counts cycles.
    """

    title: str
    tools: str
    compiler: tuple[str, ...]
    linked: tuple[str, ...]
    emulator: tuple[str, ...]
    most: int = 4000
    counts: str = "instructions"

    def missing(self) -> str | None:
        """What is not installed, with the cure."""
        for tool in (self.compiler[0], self.emulator[0]):
            if shutil.which(tool) is None:
                return f"{tool} is missing: apt install {self.tools}"
        return None


ARM = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
RISCV = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
AVR = "gcc-avr avr-libc simavr"


def _cortex(title: str, machine: str, processor: str, unit: str, code: str, data: str) -> Board:
    script = PARTS / "mps2.ld"
    return Board(
        title,
        ARM,
        ("arm-none-eabi-gcc", f"-mcpu={processor}", "-mthumb", f"-mfloat-abi={unit}"),
        (str(PARTS / "cortex_m.c"), "--specs=rdimon.specs", "-nostartfiles", "-T", str(script),
         f"-Wl,--defsym=CODE={code},--defsym=DATA={data}"),
        ("qemu-system-arm", "-M", machine, "-icount", "shift=4", "-nographic",
         "-semihosting-config", "enable=on,target=native", "-kernel"),
    )  # fmt: skip


BOARDS = {
    "m3": _cortex("Cortex-M3", "mps2-an385", "cortex-m3", "soft", "0", "0x20000000"),
    "m4": _cortex("Cortex-M4", "mps2-an386", "cortex-m4", "hard", "0", "0x20000000"),
    "m7": _cortex("Cortex-M7", "mps2-an500", "cortex-m7", "hard", "0", "0x20000000"),
    "m33": _cortex("Cortex-M33", "mps2-an505", "cortex-m33", "hard", "0x10000000", "0x38000000"),
    "riscv": Board(
        "RISC-V (RV32IMAC)",
        RISCV,
        ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs",
         "-Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=0x800000",
         "-Wl,--defsym=__ram=0x80800000,--defsym=__ram_size=0x200000"),
        (str(PARTS / "riscv.c"), "--oslib=semihost", "--crt0=hosted"),
        ("qemu-system-riscv32", "-M", "virt", "-icount", "shift=4", "-bios", "none", "-nographic",
         "-semihosting-config", "enable=on,target=native", "-kernel"),
    ),
    "avr": Board(
        "AVR (ATmega1284P)",
        AVR,
        ("avr-gcc", "-mmcu=atmega1284p", "-DLENET_FLASH=__memx"),
        (str(PARTS / "avr.c"),),
        ("simavr", "-m", "atmega1284p", "-f", "16000000"),
        most=40,
        counts="cycles",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Of one answer: instructions (or cycles) and bytes of stack, the most of some images."""

    count: int
    stack: int


@dataclass(frozen=True)
class Size:
    """Bytes in flash: all, and of these code (with the compiler's library) and class names."""

    code: int
    flash: int


def build(board: Board, source: Path, images: NDArray[np.uint8], folder: Path, level: str) -> Path:
    """A program for the board that answers `images`, and says what that takes."""
    (folder / "images").write_bytes(np.ascontiguousarray(images[: board.most]).tobytes())
    program = folder / "program.elf"
    _run(
        *board.compiler, *_dialect(board), level, "-ffunction-sections", "-fdata-sections",
        "-Wl,--gc-sections", f'-DNETWORK="{source}"', f'-DIMAGES="{folder / "images"}"',
        str(PARTS / "measure.c"), str(PARTS / "images.S"), *board.linked, "-o", str(program),
    )  # fmt: skip
    return program


def answer(
    board: Board, program: Path, count: int, class_names: tuple[str, ...]
) -> tuple[list[list[str]], Cost]:
    """What the board prints of its images, as words (n, classes), and the cost."""
    text = _run(*board.emulator, str(program))
    if board.counts == "cycles":  # simavr colours lines, and shows a tab and the end as a point
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        lines = [line[:-1] for line in text.split("\n") if re.match(r"(\d+\.-?\d|cost )", line)]
        classes = len(class_names)
        text = "".join("\t".join(line.split(".", classes + 1)) + "\n" for line in lines)
    answers, _, costs = text.rpartition("cost ")
    taken, stack = costs.split()[:2]
    return read_answers(answers, min(count, board.most), class_names), Cost(int(taken), int(stack))


def size(board: Board, source: Path, folder: Path, level: str) -> Size:
    """The file alone, linked with what it needs of the compiler's own library."""
    program, call = folder / "alone.elf", _call(source)
    wanted = [f"-Wl,-u,{name}" for name in (call, "lenet_class_name", "lenet_working_bytes")]
    _run(
        *board.compiler, *_dialect(board), *WARNINGS[: 0 if board.counts == "cycles" else None],
        level, "-ffunction-sections", "-fdata-sections", "-nostartfiles", "-nostdlib",
        f"-Wl,--gc-sections,-e,{call}", *wanted, "-x", "c", str(source), "-x", "none",
        "-lc", "-lgcc", "-o", str(program),
    )  # fmt: skip
    listed = _run(board.compiler[0].replace("gcc", "size"), "-A", str(program))
    sections = dict(re.findall(r"^(\.\S+)\s+(\d+)\s+\d+\s*$", listed, re.MULTILINE))
    kept = {
        name: int(number)
        for name, number in sections.items()
        if re.match(r"\.(text|rodata|srodata|data|sdata|progmem|ARM\.ex)", name)
    }
    flash = sum(kept.values())
    return Size(flash - constants(source), flash)


def constants(source: Path) -> int:
    """Bytes of constants, as the file's top says."""
    stated = re.search(r"constants, ([\d,]+) bytes in all", source.read_text(encoding="utf-8"))
    assert stated is not None
    return int(stated[1].replace(",", ""))


def working_bytes(source: Path) -> int:
    """Bytes of working memory, as the file's top says."""
    stated = re.search(r"LENET_WORKING_BYTES (\d+)", source.read_text(encoding="utf-8"))
    assert stated is not None
    return int(stated[1])


def _call(source: Path) -> str:
    whole = "LENET_SCORE_BITS" in source.read_text(encoding="utf-8")
    return "lenet_scores" if whole else "lenet_logits"


def _dialect(board: Board) -> tuple[str, ...]:
    """ISO C keeps floats the same bits; the qualifier of an AVR's flash is GNU's alone."""
    return ("-std=gnu99",) if board.counts == "cycles" else ("-std=c99",)


def _run(*words: str) -> str:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=SECONDS, check=False, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{words[0]} ends with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


def measure(run: Path, bits: int, count: int, levels: list[str], folder: Path) -> None:
    """Print rows of the table: the run in one format on every board that is here."""
    model = lenet.load(run)
    exported = model.export("c", folder / f"network{bits}.c", bits=bits)
    source, found = exported.path.resolve(), exported.proof.findings
    images = model.checkpoint.data.load().test.images[:count]
    lost = 100 * (found.accuracy_of_the_run - found.accuracy)
    name = "float" if bits == 32 else f"int{bits}"
    print(
        f"\n{model.spec.name}, {name}: accuracy {found.accuracy:.4f} (lost {lost:+.2f} points), "
        f"{constants(source):,} bytes of constants, {working_bytes(source):,} of working memory\n\n"
        "| board | level | flash | of it code | stack | an image |\n|---|---|--:|--:|--:|--:|"
    )
    first: list[list[str]] = []
    for board in BOARDS.values():
        if board.missing() or (bits == 32 and board.counts == "cycles"):
            print(board.missing() or f"{board.title}: no room for floats", file=sys.stderr)
            continue
        for level in levels:
            program = build(board, source, images, folder, f"-{level}")
            answers, cost = answer(board, program, len(images), model.class_names)
            first = first or answers
            if bits < 32 and answers != first[: len(answers)]:
                raise SystemExit(f"{board.title} answers otherwise than the first board")
            taken = size(board, source, folder, f"-{level}")
            print(
                f"| {board.title} | -{level} | {taken.flash:,} | {taken.code:,} | {cost.stack} | "
                f"{cost.count:,} {board.counts} |",
                flush=True,
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--images", type=int, default=20, help="of the test split, on each board")
    parser.add_argument("--levels", nargs="*", default=["O3", "Os"], help="of the compilers")
    parser.add_argument("--bits", type=int, nargs="*", default=list(FORMATS))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for run in chosen.runs:
            for bits in chosen.bits:
                measure(run, bits, chosen.images, chosen.levels, Path(folder))


if __name__ == "__main__":
    main()
