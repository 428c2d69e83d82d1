"""A trained network at hand: `lenet.load`, `lenet.train`, and what can be asked of it.

It may know everything from `show` and `export` down.  Figures, reports and bulk prediction are
imported where they are asked for, since most calls need none of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data import Convention, Dataset, Reading, Source
from lenet.data import load as load_set
from lenet.engines.base import Engine
from lenet.errors import RunError, UsageError
from lenet.network import Spec
from lenet.prediction.evaluation import (
    check_fit,
    evaluate_network,
    load_data,
    open_network,
)
from lenet.prediction.inputs import (
    Picture,
    each_picture,
    follow_any,
    is_several,
    note_order,
    prepare_any,
    prepare_each,
    to_images,
)
from lenet.prediction.metrics import Evaluation, log_probabilities
from lenet.prediction.network import Answer, Prepared, check_top, rank, rank_one
from lenet.prediction.views import Views, mean_logits
from lenet.recipe import Recipe
from lenet.runs import checkpoint as checkpoints
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import Run, find_run, path_of
from lenet.show.at_hand import Chart, Decision, Summary
from lenet.show.live import Display, in_notebook, open_display
from lenet.show.watching import watch_with
from lenet.training import session
from lenet.training.choice import Wanted

if TYPE_CHECKING:
    from lenet.export import Exported, Proof, Trained


@final
class Model:
    """A trained network in memory: weights, classes, how its pictures were made, an open engine.

    `run` is its folder on disk, or None where there is none, and `which` the checkpoint in it that
    was asked for, if one was.  `data` is what it was trained on, where that was at hand and is in
    no place to be read from again.  `lenet.load` and `lenet.train` make one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        engine: Engine,
        run: Run | None = None,
        data: Dataset | None = None,
        which: str | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.run = run
        self.which = which
        self._engine = engine
        self._data = data
        self._shape = checkpoint.spec.input_shape

    @property
    def spec(self) -> Spec:
        """The network as data."""
        return self.checkpoint.spec

    @property
    def recipe(self) -> Recipe:
        """Every number of its training."""
        return self.checkpoint.recipe

    @property
    def class_names(self) -> tuple[str, ...]:
        """By label."""
        return self.checkpoint.data.class_names

    @property
    def convention(self) -> Convention:
        """What is done to a picture before the network sees it."""
        return self.checkpoint.data.convention

    @property
    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Name -> array, with the names and shapes of `Spec.weight_shapes`."""
        return self.checkpoint.weights

    def logits(self, images: Any) -> NDArray[np.float32]:
        """(n, classes) for images in the network's shape; one image is a batch of one.

        `images` are (n, channels, height, width), (n, height, width) or (height, width), uint8 from
        0 to 255 or fractions from 0 to 1; channels may be last.

        Raises:
            InputError: on any other shape, range or type.
        """
        engine = self._engine
        return engine.logits(engine.place(to_images(images, self._shape)))

    def __call__(self, images: Any) -> NDArray[np.float64]:
        """The probabilities of the classes, (n, classes); `images` as in `logits`.

        Raises:
            InputError: as `logits`.
        """
        return np.exp(log_probabilities(self.logits(images)))

    def predict(
        self, pictures: Picture, top: int = 1, *, views: bool = False
    ) -> Answer | list[Answer]:
        """What pictures show: an answer for one, a list for several.

        A picture is a path, the bytes of a file, a picture of Pillow's, or an array of any size.
        (n, height, width) is n pictures, (height, width, 3) and (height, width, 4) are one in
        colour.  An array in the network's shape is taken as it is, but that pixels of 0 and 1 are
        black and white, and that a light ground is turned around for a network of light ink; all
        else is prepared as the training data was.  `Answer.notes` say what was done.  Up to four
        images are answered one by one, for their latency, which rounds the last digits otherwise
        than a batch does.  With `views` each is seen several times, a little moved (and mirrored,
        if it was trained so), and the mean probabilities are the answer.  For files in bulk see
        `lenet predict`.

        Raises:
            FormatError: at the first picture that cannot be read.
            InputError: if something is no picture.
            UsageError: if `top` is out of range.
        """
        check_top(top, self.class_names)
        seen = Views.of(self.checkpoint) if views else None
        if not is_several(pictures, self._shape):
            if seen is not None:
                return self._answer([pictures], top, seen)[0]
            return self._answer_one(pictures, top)
        return self._answer(each_picture(pictures), top, seen)

    def predict_each(self, picture: Picture, top: int = 1) -> list[Answer]:
        """What every character of a line in one picture is, left to right, each with its `box`.

        The picture is a path, the bytes of a file, a picture of Pillow's, or an array of any size.
        Characters are about as large as the largest, and none is cut by the picture's edge.  Where
        the training data was no ink there is one answer, for the whole.

        Raises:
            FormatError: if the picture cannot be read, or there is no ink in it.
            InputError: if it is no picture.
            UsageError: if `top` is out of range.
        """
        check_top(top, self.class_names)
        found = prepare_each(picture, self._shape, self.convention, "the picture")
        name = str(picture) if isinstance(picture, str | Path) else "the picture"
        engine, images = self._engine, np.stack([each.image for each in found])
        chances = np.exp(log_probabilities(engine.logits(engine.place(images))))
        prepared = [Prepared(name, each.image, each.notes) for each in found]
        answers = rank(chances, prepared, self.class_names, top)
        return [replace(answer, box=each.box) for answer, each in zip(answers, found, strict=True)]

    def _answer_one(self, picture: Picture, top: int) -> Answer:
        prepared = prepare_any(picture, self._shape, self.convention, "picture 0")
        engine = self._engine
        logits = engine.logits(engine.place(prepared.image[None]))[0].tolist()
        return rank_one(logits, prepared, self.class_names, top)

    def _answer(self, pictures: Any, top: int, views: Views | None) -> list[Answer]:
        prepared = [
            prepare_any(picture, self._shape, self.convention, f"picture {index}")
            for index, picture in enumerate(pictures)
        ]
        if not prepared:
            return []
        prepared = note_order(prepared, self.convention)
        images = np.stack([each.image for each in prepared])
        found = np.exp(log_probabilities(mean_logits(self._engine, images, views)))
        return list(rank(found, prepared, self.class_names, top))

    def evaluate(
        self,
        split: str = "test",
        data: Source | None = None,
        data_dir: str | Path | None = None,
        by_position: bool = False,
        *,
        views: bool = False,
    ) -> Evaluation:
        """Scores on a split of the data it was trained on, or of other data with the same classes.

        Classes are the same if they have the same names; with `by_position`, the first class of
        the data is the network's first whatever they are called.  With `views` they are those of
        the mean over several views of each image; see `predict`.

        Raises:
            UsageError: if there is no such split, or the data does not fit.
            DataError: if the data cannot be had, or has other classes.
        """
        found = evaluate_network(
            self._engine,
            self.checkpoint,
            self._source(data),
            split,
            data_dir=data_dir,
            by_position=by_position,
            views=views,
        )
        return found.viewed or found.evaluation

    def explain(
        self,
        picture: Picture,
        data_dir: str | Path | None = None,
        *,
        data: Source | None = None,
    ) -> Decision:
        """One decision, layer by layer; `picture` is any single one, or `SPLIT:INDEX` as `test:17`.

        `data` is what it was trained on, for `SPLIT:INDEX`, where that was at hand only.

        Raises:
            FormatError, InputError: as `predict`.
            UsageError: if there is no such image.
        """
        from lenet.prediction.explanation import (
            check_there,
            explain_example,
            explain_picture,
            find_example,
        )

        engine, checkpoint = self._engine, self.checkpoint
        if isinstance(picture, str) and (example := find_example(picture)) is not None:
            source = self._source(data)
            found = explain_example(engine, checkpoint, *example, data_dir, source)
            return Decision(found, picture)
        path = Path(picture) if isinstance(picture, str | Path) else None
        if path is not None:
            check_there(path)
        name = "picture" if path is None else path.name
        read = follow_any(picture, self._shape, self.convention, name)
        found = explain_picture(engine, checkpoint, read, name)
        return Decision(found, None if path is None else str(path.absolute()))

    def plot(self) -> Chart:
        """The note's figure: the curves of the training, as SVG that a notebook shows.

        Raises:
            RunError: if the network has no run.
        """
        from lenet.show.chart import NOTE_SERIES, line_chart

        run = self._need_run("the curves of a training")
        return Chart(line_chart(run.history(), NOTE_SERIES, self.recipe.epochs, run.name))

    def report(
        self,
        out: str | Path | None = None,
        data_dir: str | Path | None = None,
        *,
        data: Source | None = None,
    ) -> Path:
        """Write its report as one HTML file, by default into its run's folder.

        `data` is what it was trained on, where that was at hand only.

        Raises:
            RunError: if the network has no run.
        """
        from lenet.show.report import write_report

        run = self._need_run("a report")
        source = self._source(data)
        return write_report([run.path], out, data=source, data_dir=data_dir, which=self.which)

    def page(
        self,
        out: str | Path | None = None,
        *,
        beside: str | Path | None = None,
        data: Source | None = None,
        data_dir: str | Path | None = None,
    ) -> Path:
        """Write the page in which it can be watched, by default into its run's folder.

        `beside` is a second run, whose checkpoint of the same kind is shown side by side.  `data`
        is what it was trained on, where that was at hand only.

        Raises:
            RunError: if the network has no run.
            UsageError: if the two do not take the same pictures to the same classes.
        """
        from lenet.show.page import write_page

        runs = [self._need_run("a page").path, *([] if beside is None else [beside])]
        source = self._source(data)
        return write_page(runs, out, data=source, data_dir=data_dir, which=self.which)

    def export(
        self,
        to: str,
        out: str | Path | None = None,
        *,
        input: str = "uint8",  # noqa: A002 - the word of the formats themselves
        probabilities: bool = False,
        licence: str = "",
        bits: int = 32,
        data: Source | None = None,
        data_dir: str | Path | None = None,
    ) -> Exported:
        """Write it in the format `to` (`lenet export --help`), proved to answer like it does.

        `out` is by default in `export/` in its run's folder.  The proof asks the test split of the
        network's own data, which is given as `data` where it was at hand only.

        Raises:
            UsageError: if there is no such format, or it knows no such option.
            MissingExtraError: if a package is missing that the format needs.
            DataError: if the data cannot be had.
            ExportError: if what was written answers otherwise than the network; nothing is left.
        """
        from lenet.export import Options, export, usual_name

        if out is None:
            folder = self._need_run("an export that is given no path (out=...)").path
            out = folder / "export" / usual_name(to, self.spec)
        options = Options(input=input, probabilities=probabilities, licence=licence, bits=bits)
        return export(self._trained(data, data_dir), to, Path(out), options)

    def check_export(
        self,
        path: str | Path,
        *,
        data: Source | None = None,
        data_dir: str | Path | None = None,
    ) -> Proof:
        """Repeat the proof of what `export` wrote to `path`.

        Raises:
            ExportError: if it is not what was proved, or answers otherwise.
            MissingExtraError, DataError: as `export`.
        """
        from lenet.export import check

        return check(self._trained(data, data_dir), Path(path))

    def _trained(self, data: Source | None, data_dir: str | Path | None) -> Trained:
        from lenet.export import Trained

        dataset = load_data(self.checkpoint, self._source(data), data_dir)
        check_fit(self.checkpoint, dataset)
        digest = "" if self.run is None else self.run.receipt_digest()
        path = "" if self.run is None else shlex.quote(str(self.run.path))
        return Trained(self.checkpoint, self._engine, dataset, path, digest, self.which)

    def _source(self, data: Source | None) -> Source | None:
        return self._data if data is None else data

    def summary(self) -> Summary:
        """A table of the layers: shapes, parameters, multiply-adds; a notebook shows it as one."""
        return Summary(self.spec)

    def __reduce__(self) -> tuple[Any, ...]:
        """For a copy or another process, which opens an engine of its own."""
        engine = self._engine
        opening = {"engine": engine.name, "device": engine.device, "threads": engine.threads}
        return _reopen, (self.checkpoint, self.run, self._data, self.which, opening)

    def __repr__(self) -> str:
        data = self.checkpoint.data.name
        where = "" if self.run is None else f", {self.run.path}"
        return f"<lenet.Model {self.spec.name} on {data}, {len(self.class_names)} classes{where}>"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def _need_run(self, what: str) -> Run:
        if self.run is None:
            raise RunError(
                f"{what} is made from a run's folder, and this network was loaded from a file "
                "alone; load the folder"
            )
        return self.run


def _reopen(
    checkpoint: Checkpoint,
    run: Run | None,
    data: Dataset | None,
    which: str | None,
    opening: Mapping[str, Any],
) -> Model:
    return Model(checkpoint, open_network(checkpoint, **opening), run, data, which)


def load(
    path: str | Path,
    which: str | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Model:
    """A trained network from a run's folder, or from a checkpoint's file.

    `path` may be `last`, the newest run in `runs/`.  `which` is "last" or "best"; by default the
    best where there is one.

    Raises:
        UsageError: if `which` is another word, or beside a file, or `path` is no path.
        RunError: if nothing is there, or it cannot be read.
        EngineError: if the engine or device is not available.
    """
    place = path_of(path)
    if place.is_file():
        if which is not None:
            raise UsageError(f"which = {which!r}: {place} is one checkpoint; name its run's folder")
        run, checkpoint = None, checkpoints.read(place)
    else:
        run = find_run(path)
        checkpoint = run.checkpoint(which)
    opened = open_network(checkpoint, engine=engine, device=device, threads=threads)
    return Model(checkpoint, opened, run, which=which)


def train(
    model: str | Spec | None = None,
    data: Source = "fashion-mnist",
    recipe: Wanted = None,
    *,
    reading: Reading | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 0,
    display: Display | None = None,
    teacher: str | Path | Sequence[str | Path] = (),
    **changes: Any,
) -> Model:
    """Train a network, and return it with its run at `model.run`.

    See `lenet.training.session.train` for the arguments.  `display` shows the training while it
    runs: by default the note's figure in a notebook, and nothing elsewhere.

    Raises:
        LenetError: any branch of the tree in `lenet.errors`; before the first step if it can.
        InterruptedRunError: after Ctrl-C or SIGTERM, when the checkpoint is written.
    """
    if not isinstance(data, str | Path):
        data, reading = load_set(data, reading=reading), None
    shown = display or open_display(quiet=not in_notebook())
    run = session.train(
        model,
        data,
        recipe,
        reading=reading,
        out=out,
        data_dir=data_dir,
        engine=engine,
        device=device,
        threads=threads,
        checkpoint_every=checkpoint_every,
        watcher=watch_with(shown),
        progress=shown.download,
        teacher=teacher,
        **changes,
    )
    return _left_by(run, data, engine, device, threads)


def _left_by(run: Run, data: Source | None, engine: str, device: str, threads: int | None) -> Model:
    """What a training left; it keeps the data if they were at hand."""
    checkpoint = run.checkpoint()
    opened = open_network(checkpoint, engine=engine, device=device, threads=threads)
    return Model(checkpoint, opened, run, data if isinstance(data, Dataset) else None)


def resume(
    path: str | Path,
    *,
    data: Source | None = None,
    data_dir: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 0,
    display: Display | None = None,
) -> Model:
    """Go on with a run from its newest checkpoint, to the same bytes as without a stop.

    See `lenet.training.session.resume` for the arguments.

    Raises:
        LenetError, InterruptedRunError: as `train`.
    """
    if data is not None and not isinstance(data, str | Path):
        data = load_set(data)
    shown = display or open_display(quiet=not in_notebook())
    run = session.resume(
        path,
        data=data,
        data_dir=data_dir,
        engine=engine,
        device=device,
        threads=threads,
        checkpoint_every=checkpoint_every,
        watcher=watch_with(shown),
        progress=shown.download,
    )
    return _left_by(run, data, engine, device, threads)
