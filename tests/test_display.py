import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
import types

import pyte
import pytest
from conftest import start_lenet

from lenet.show.chart import NOTE_SERIES, line_chart
from lenet.show.live import GuardedDisplay, LineDisplay, describe_row, in_notebook, open_display
from lenet.show.live.terminal import CURVES, Canvas
from lenet.training.watcher import Plan

ROW = {
    "epoch": 2, "progress": 2.0, "train_loss": 0.2874, "train_accuracy": 0.8921,
    "test_accuracy": 0.8664,
}  # fmt: skip
PLAN = Plan("lenet5 on digits", 10, 235, 1, 0)
TRAIN = ["train", "--data", "digits", "--epochs", "3", "--batch-size", "32"]


def test_an_epoch_is_one_line():
    stream = io.StringIO()
    display = LineDisplay(stream)
    display.start(PLAN)
    display.step(1, 1)
    display.point(ROW)
    display.epoch(ROW, 12345.6)
    display.stop()
    assert stream.getvalue() == (
        "epoch 2/10: loss 0.287, train acc 0.892, test acc 0.866, 12,346 examples/s\n"
    )


def test_the_metrics_are_in_the_notes_words():
    assert describe_row(ROW) == "loss 0.287, train acc 0.892, test acc 0.866"
    assert "validation acc 0.900" in describe_row({**ROW, "validation_accuracy": 0.9})


def test_a_line_of_dots_joins_its_points():
    canvas = Canvas(4, 2)
    solid, dashed, _ = CURVES
    canvas.polyline([(0.0, 0.0), (1.0, 1.0)], solid)
    assert canvas.row(0).plain == "  ⡠⠊"
    assert canvas.row(1).plain == "⡠⠊  "
    broken = Canvas(12, 1)
    broken.polyline([(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)], dashed)
    assert broken.row(0).plain == "⣀⣀⣀  ⣀⣀⣀  ⣀⣀"


class FailingStream(io.StringIO):
    writes = 0

    def write(self, text):
        self.writes += 1
        raise BrokenPipeError(32, "Broken pipe")


class NarrowStream(io.StringIO):
    writes = 0

    def write(self, text):
        self.writes += 1
        text.encode("ascii")
        raise UnicodeEncodeError("ascii", text, 0, 1, "ordinal not in range")


@pytest.mark.parametrize("stream", [FailingStream(), NarrowStream()])
def test_a_screen_that_fails_is_left_alone(stream):
    display = GuardedDisplay(LineDisplay(stream))
    display.start(PLAN)
    display.epoch(ROW, 1.0)
    display.epoch(ROW, 1.0)
    display.stop()
    assert stream.writes == 1


def test_a_bug_in_a_display_is_not_hidden():
    display = GuardedDisplay(LineDisplay(io.StringIO()))
    with pytest.raises(KeyError, match="epoch"):
        display.epoch({}, 1.0)


def capture(words, columns, rows, resize=None, env=None):
    """Run the command line in a pseudo-terminal; the screen at its end with its scroll-back."""
    reader, writer = pty.openpty()
    set_size(writer, columns, rows)
    env = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        env.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "lenet", *map(str, words)], stdout=writer, stderr=writer, env=env
    )
    screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=1.0)
    stream, seen = pyte.ByteStream(screen), b""
    os.set_blocking(reader, False)
    while True:
        ended = process.poll() is not None
        try:
            piece = os.read(reader, 65536)
        except BlockingIOError:
            piece = b""
        if piece:
            seen += piece
            stream.feed(piece)
            if resize and b"epoch" in seen:
                columns, rows = resize
                set_size(writer, columns, rows)
                screen.resize(rows, columns)
                resize = None
        elif ended:
            break
        time.sleep(0.005)
    os.close(reader)
    os.close(writer)
    assert process.returncode == 0, seen.decode(errors="replace")
    above = ["".join(line[x].data for x in range(columns)) for line in screen.history.top]
    return [line.rstrip() for line in [*above, *screen.display]]


def set_size(terminal, columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.mark.thorough
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 60)])
def test_the_live_view_holds_together_and_stays_in_the_scroll_back(tmp_path, columns, rows):
    lines = capture([*TRAIN, "--out", tmp_path / "run"], columns, rows)
    shown = [line for line in lines if line]
    titles = [index for index, line in enumerate(shown) if line.startswith("lenet5 on digits")]
    assert len(titles) == 1  # one picture, drawn over and over in its place
    view = shown[titles[0] :]
    assert view[1].split() == ["loss", "acc"]
    assert view[2].endswith("├ 1.00")
    axis = next(index for index, line in enumerate(view) if line.endswith("epoch"))
    assert view[axis].split() == ["0", "1", "2", "3", "epoch"]
    assert view[axis - 1].startswith("  0.00 ┤")
    assert any("\u2801" <= letter <= "\u28ff" for line in view[2:axis] for letter in line)
    assert re.match("━ train loss .* ╍ train acc .* ┉ test acc ", view[axis + 1])
    assert view[axis + 2].startswith("epoch 3/3 ━━━")
    assert "took 0:0" in view[axis + 2]
    assert view[axis + 3].startswith("loss ")
    assert "examples/sec on cpu" in view[axis + 4]
    assert all(len(line) <= columns for line in view[: axis + 3])


def test_a_terminal_may_change_its_size_in_the_middle(tmp_path):
    words = [*TRAIN, "--epochs", 40, "--out", tmp_path / "run"]
    lines = capture(words, 100, 30, resize=(70, 24))
    assert any(line.startswith("epoch 40/40 ━━━") for line in lines)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("columns", "rows", "env"),
    [
        (40, 24, {}), (80, 10, {}), (80, 24, {"TERM": "dumb"}),
        (80, 24, {"PYTHONIOENCODING": "ascii"}),
    ],
)  # fmt: skip
def test_a_terminal_that_cannot_show_it_gets_lines(tmp_path, columns, rows, env):
    lines = capture([*TRAIN, "--out", tmp_path / "run"], columns, rows, env=env)
    assert len([line for line in lines if line.startswith("epoch ")]) == 3
    assert not any("━" in line for line in lines)


def test_a_reader_that_leaves_ends_no_training(tmp_path):
    process = start_lenet(*TRAIN, "--out", tmp_path / "run")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 15


def test_a_pipe_gets_lines():
    assert type(open_display()._inner) is LineDisplay


def test_the_notebooks_chart_has_its_curves_and_words():
    chart = line_chart([ROW], NOTE_SERIES, 10, "a < b", "epoch 2/10")
    assert chart.count("<polyline") == 3
    for text in ("a &lt; b", "loss (nats)", "accuracy", "train acc", "test acc", "epoch 2/10"):
        assert text in chart
    assert "nan" not in line_chart([{**ROW, "train_loss": float("nan")}], NOTE_SERIES, 10, "t")


def test_a_loss_that_leaves_the_axis_is_said():
    rows = [{**ROW, "train_loss": loss} for loss in (2.3, 6.4e9, float("inf"))]
    assert "train loss, up to 6.4e+09" in line_chart(rows, NOTE_SERIES, 10, "t")
    assert "up to" not in line_chart([ROW], NOTE_SERIES, 10, "t")


def test_a_mark_an_epoch_as_long_as_marks_are_told_apart():
    for epochs, marks in ((10, 10), (40, 40), (41, 21), (480, 40)):
        rows = [{**ROW, "epoch": e, "progress": float(e)} for e in range(1, epochs + 1)]
        assert line_chart(rows, NOTE_SERIES, epochs, "t").count("<circle") == marks


@pytest.mark.parametrize(
    ("bases", "there"),
    [(["ZMQInteractiveShell"], True), (["ZMQInteractiveShell", "Shell"], True),
     (["TerminalInteractiveShell"], False), ([], False)],
    ids=["Jupyter", "Colab", "a terminal", "none"],
)  # fmt: skip
def test_a_notebook_is_known_by_what_its_shell_is_derived_from(monkeypatch, bases, there):
    kind = object
    for name in bases:
        kind = type(name, (kind,), {})
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: kind() if bases else None
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert in_notebook() is there
