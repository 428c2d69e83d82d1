"""Figures as files: colour-blind safe, readable at half size, drawn without a screen.

Kept here: a function a figure.  It is the only room that knows Matplotlib, which is imported when
the first figure is drawn; it may know what it draws, which comes to it as arguments.
"""

from lenet.show.figures.confusion import draw_confusion
from lenet.show.figures.curves import CurvesWatcher, draw_curves
from lenet.show.figures.decision import draw_decision
from lenet.show.figures.figure import Drawer, check_other, check_place, open_figure
from lenet.show.figures.preparation import draw_preparation
from lenet.show.figures.rates import draw_range_test
from lenet.show.figures.sheet import augmentation_sheet, contact_sheet

__all__ = [
    "CurvesWatcher",
    "Drawer",
    "augmentation_sheet",
    "check_other",
    "check_place",
    "contact_sheet",
    "draw_confusion",
    "draw_curves",
    "draw_decision",
    "draw_preparation",
    "draw_range_test",
    "open_figure",
]
