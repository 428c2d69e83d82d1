"""What a person sees of a training: the live display, and the picture of the curves at its end."""

from __future__ import annotations

from lenet.show.figures.curves import CurvesWatcher
from lenet.show.live import Display
from lenet.training.watcher import Watchers


def watch_with(display: Display) -> Watchers:
    """The screen first, then the picture."""
    return Watchers([display, CurvesWatcher()])
