"""Where each block's values lie in a program's working memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import final

from lenet.export.program.arrays import Part, float_literal
from lenet.export.program.blocks import blocks_of
from lenet.export.program.stage_text import StageText
from lenet.network import Spec


@final
@dataclass(slots=True)
class Plan:
    """Where each block's values lie in the working memory: in turns at its two ends."""

    spec: Spec
    floats: bool
    bits: int
    names: tuple[str, ...]
    size: int

    @classmethod
    def of(cls, spec: Spec, *, floats: bool, bits: int) -> Plan:
        blocks = blocks_of(spec)
        names = tuple(
            block.name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", block.name) else f"layer{n}"
            for n, block in enumerate(blocks, 1)
        )
        if len(set(names)) < len(names):
            names = tuple(f"layer{n}" for n in range(1, len(blocks) + 1))
        plan = cls(spec, floats, bits, names, 0)
        plan.size = max(sum(plan._sizes(number)) for number in range(len(blocks)))
        return plan

    def _sizes(self, number: int) -> tuple[int, int, int]:
        """Of input, scratch and output, in values; the pixels and the answers are the caller's."""
        stage = self._bare(number)
        given = 0 if stage.first else math.prod(stage.block.input_shape)
        handed = 0 if stage.last else math.prod(stage.block.output_shape)
        return given, stage.window_size + stage.filter_size, handed

    def _bare(self, number: int) -> StageText:
        return self.stage(number, (), "", 0, (1, 1), at=(0, 0, 0))

    def stage(
        self,
        number: int,
        parts: tuple[Part, ...],
        border: str,
        zero: int,
        slopes: tuple[int, int],
        at: tuple[int, int, int] | None = None,
    ) -> StageText:
        blocks = blocks_of(self.spec)
        input_at, output_at, scratch_at = at or self._places(number)
        return StageText(
            block=blocks[number],
            name=self.names[number],
            first=number == 0,
            scaled=self.floats and number == len(self.spec.preparation),
            last=number == len(blocks) - 1,
            floats=self.floats,
            bits=self.bits,
            parts=parts,
            flash="" if self.floats else "LENET_FLASH ",
            pixel_scale=float_literal(self.spec.pixel_scale),
            pixel_shift=float_literal(self.spec.pixel_shift),
            border=border,
            zero=zero,
            slopes=slopes,
            input_at=input_at,
            output_at=output_at,
            scratch_at=scratch_at,
        )

    def _places(self, number: int) -> tuple[int, int, int]:
        """Of input, output and scratch: blocks with an even number write at the end."""
        given, _, handed = self._sizes(number)
        if number % 2 == 0:
            return 0, self.size - handed, given
        return self.size - given, 0, handed
