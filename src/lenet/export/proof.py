"""The one proof for all formats: the exported file answers like the run, image by image.

Its weights are the run's to the bit, where the format keeps them, so that none slips through that
no image makes use of.  It is asked for the whole test split, and for made-up extremes that no data
set has.  Each answer must be within the bound of the format's reference, and each image of the test
split must get the run's own class: no share of images may differ.  Only a quantised format, which
is another network than the run, may be right for a small share of the images fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Weights
from lenet.errors import ExportError
from lenet.export.base import Expected, Images, Reference, Trained
from lenet.network import Shape

MOST_PIXELS = 196
"""Made-up images with one pixel alone: each pixel, or as many as that, evenly chosen."""


@final
@dataclass(frozen=True, slots=True)
class Findings:
    """What the comparison measured.

    `images` of the test split and `extremes`, made up, were answered; `classes_agree` of the images
    have the run's own class (all, but where a format is judged by another network's answers).
    `largest_difference` is that from the reference, over all answers; `largest_bound` the bound
    where it is widest, and `nearest_to_bound` the largest share of its own bound that an answer
    took.  `near_ties` counts extremes whose two likeliest classes are closer than both bounds:
    there alone either class is right.  `weights` were compared to the bit (0 where the format keeps
    others).
    """

    images: int
    extremes: int
    near_ties: int
    classes_agree: int
    accuracy: float
    accuracy_of_the_run: float
    largest_difference: float
    largest_bound: float
    nearest_to_bound: float
    weights: int


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """That a file answers like its run, as it is written beside the file.

    `sha256` is of the exported file, or of each in an exported folder; `checkpoint_sha256` and
    `receipt_sha256` of the run's; `data_sha256` of the data that was asked.  `judge` ran the file,
    and `engine` answered for the run.  `command` repeats it, and is empty where there was no run's
    folder.
    """

    format: str
    sha256: dict[str, str]
    bytes: int
    options: dict[str, Any]
    run: str
    model: str
    checkpoint_sha256: str
    receipt_sha256: str
    data: str
    data_sha256: dict[str, str]
    findings: Findings
    bound: str
    judge: str
    engine: str
    versions: dict[str, str]
    machine: dict[str, Any]
    command: str

    def facts(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        found = self.findings
        same = "every image has the run's class"
        if found.classes_agree < found.images:
            same = f"{found.classes_agree:,} have the run's class"
        near = (
            "bit for bit the reference"
            if not found.largest_bound
            else f"largest difference {found.largest_difference:.2g}, bound "
            f"{found.largest_bound:.2g}"
        )
        return (
            f"proved by {self.judge} on {found.images:,} test images and {found.extremes:,} made "
            f"up: {same}, {near}; accuracy {found.accuracy:.4f}, the run's "
            f"{found.accuracy_of_the_run:.4f}"
        )


def extremes(shape: Shape) -> tuple[Images, tuple[str, ...]]:
    """Images (n, *shape) that no data set has, and their names.

    Black, white, each channel alone, checkerboards, single pixels light on dark and dark on light,
    and noise.
    """
    channels, rows, columns = shape
    made: list[tuple[str, NDArray[np.uint8]]] = [
        ("all 0", np.zeros(shape, np.uint8)),
        ("all 255", np.full(shape, 255, np.uint8)),
        ("all 1", np.ones(shape, np.uint8)),
    ]
    for channel in range(channels if channels > 1 else 0):
        alone = np.zeros(shape, np.uint8)
        alone[channel] = 255
        made.append((f"channel {channel} alone", alone))
    squares = np.indices((rows, columns)).sum(axis=0) % 2
    for phase in (0, 1):
        board = np.where(squares == phase, 255, 0).astype(np.uint8)
        made.append((f"checkerboard {phase}", np.broadcast_to(board, shape)))
    positions = np.linspace(0, rows * columns - 1, min(rows * columns, MOST_PIXELS)).round()
    for position in positions.astype(int).tolist():
        for ground, ink in ((0, 255), (255, 0)):
            image = np.full(shape, ground, np.uint8)
            image[:, position // columns, position % columns] = ink
            made.append((f"{ground} but for pixel {divmod(position, columns)}", image))
    noise = np.random.default_rng(0).integers(0, 256, (16, *shape), np.uint8)
    made += [(f"noise {index}", image) for index, image in enumerate(noise)]
    names, images = zip(*made, strict=True)
    return np.stack(images), names


def prove(
    trained: Trained,
    reference: Reference,
    answers: Callable[[Images], NDArray[Any]],
    stored: Weights | None = None,
) -> Findings:
    """Ask `answers`, which gives (n, classes), for each image, and hold it to `reference` and run.

    `stored` are the weights in the file, where it keeps them all.

    Raises:
        ExportError: naming the weight that is another, or the first image whose answer is.
    """
    if stored is not None:
        check_weights(trained, stored)
    made, extreme_names = extremes(trained.spec.input_shape)
    images = np.concatenate([trained.dataset.test.images, made])
    count = len(images) - len(made)
    names = (*(f"test:{index}" for index in range(count)), *extreme_names)
    found = _compare(trained, reference.answer(images), answers(images), names, reference)
    return found if stored is None else replace(found, weights=trained.spec.parameters)


def check_weights(trained: Trained, stored: Weights) -> None:
    """Compare the weights in a file with the run's to the bit; raises `ExportError`."""
    for name, right in trained.weights.items():
        found = stored.get(name)
        if found is None or found.shape != right.shape:
            raise ExportError(f"the exported file has other weights than the run: no {name}")
        wrong = np.argwhere(found.view(np.uint32) != right.view(np.uint32))
        if len(wrong):
            place = tuple(wrong[0].tolist())
            raise ExportError(
                f"the exported file has other weights than the run: {name}{list(place)} is "
                f"{found[place]} in place of {right[place]} ({len(wrong):,} of {right.size:,} "
                "differ)"
            )


def _compare(
    trained: Trained,
    expected: Expected,
    answers: NDArray[Any],
    names: tuple[str, ...],
    reference: Reference,
) -> Findings:
    count = len(trained.dataset.test)
    _check_form(answers, expected)
    difference = np.abs(answers.astype(np.float64) - expected.answers)
    _check_bound(difference, expected, names)
    own = trained.logits(trained.dataset.test.images).argmax(axis=1)
    found, right = answers.argmax(axis=1), expected.answers.argmax(axis=1)
    if reference.keeps_classes:
        _check_classes(found[:count], own, trained.class_names, names, expected)
    else:
        _check_accuracy(found[:count], own, trained.dataset.test.labels, reference.may_lose)
    ties = _check_extremes(found[count:], right[count:], expected, count, names)
    labels = trained.dataset.test.labels
    bound = np.broadcast_to(expected.bound, difference.shape)
    share = np.divide(difference, bound, out=np.zeros_like(difference), where=bound > 0)
    return Findings(
        images=count,
        extremes=len(names) - count,
        near_ties=ties,
        classes_agree=int((found[:count] == own).sum()),
        accuracy=float((found[:count] == labels).mean()),
        accuracy_of_the_run=float((own == labels).mean()),
        largest_difference=float(difference.max()),
        largest_bound=float(bound.max()),
        nearest_to_bound=float(share.max()),
        weights=0,
    )


def _check_form(answers: NDArray[Any], expected: Expected) -> None:
    if answers.shape != expected.answers.shape:
        raise ExportError(
            f"the exported file gave answers of shape {answers.shape} where "
            f"{expected.answers.shape} are right"
        )


def _check_bound(difference: NDArray[np.float64], expected: Expected, names: Sequence[str]) -> None:
    wrong = np.argwhere(~(difference <= expected.bound))  # a NaN is within no bound
    if not len(wrong):
        return
    image, label = wrong[0].tolist()
    bound = float(np.broadcast_to(expected.bound, difference.shape)[image, label])
    raise ExportError(
        f"the exported file answers otherwise than the run: image {names[image]}, class {label}: "
        f"{difference[image, label]:.3g} from {float(expected.answers[image, label]):.6g}, "
        f"and {bound:.3g} is allowed ({len(np.unique(wrong[:, 0])):,} of {len(difference):,} "
        "images differ)"
    )


def _check_classes(
    found: NDArray[Any],
    own: NDArray[Any],
    class_names: tuple[str, ...],
    names: Sequence[str],
    expected: Expected,
) -> None:
    wrong = np.flatnonzero(found != own)
    if len(wrong):
        first = int(wrong[0])
        right = expected.answers[first, [found[first], own[first]]].astype(np.float64)
        raise ExportError(
            f"the exported file answers otherwise than the run: image {names[first]} is "
            f"{class_names[found[first]]!r} in place of {class_names[own[first]]!r}, which are "
            f"{abs(right[0] - right[1]):.2g} apart ({len(wrong):,} of {len(own):,} images differ "
            "in class)"
        )


def _check_accuracy(
    found: NDArray[Any], own: NDArray[Any], labels: NDArray[Any], may_lose: float
) -> None:
    """A share of few images is at least one."""
    lost = int((own == labels).sum()) - int((found == labels).sum())
    if lost > math.ceil(may_lose * len(labels) - 1e-9):
        raise ExportError(
            f"the exported file is right for {lost:,} of {len(labels):,} images fewer than the run "
            f"({lost / len(labels):.2%}; {may_lose:.2%} is allowed): use more bits"
        )


def _check_extremes(
    found: NDArray[Any], right: NDArray[Any], expected: Expected, count: int, names: Sequence[str]
) -> int:
    """The number of extremes where either of two classes is right; see `Findings.near_ties`."""
    rows = np.arange(len(found))
    answers = expected.answers[count:].astype(np.float64)
    bound = np.broadcast_to(expected.bound, expected.answers.shape)[count:]
    lowest = answers[rows, right] - bound[rows, right]
    may_be = answers + bound >= lowest[:, None]
    wrong = np.flatnonzero(~may_be[rows, found])
    if len(wrong):
        first = int(wrong[0])
        raise ExportError(
            f"the exported file answers otherwise than the run: image {names[count + first]} is "
            f"class {found[first]} in place of {right[first]}"
        )
    return int((may_be.sum(axis=1) > 1).sum())
