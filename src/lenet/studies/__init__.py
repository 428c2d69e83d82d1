"""Questions that take many runs to answer: `find` a study, `run_study`, `write_report`.

Kept here: a study as data, its runs, its folder, its statistics, its figures and its words.  It may
know everything from `model` down, and not its neighbours; `statistics` is the only file that knows
SciPy, which comes with the extra `studies`.
"""

from lenet.studies.analysis import analyse
from lenet.studies.folder import StudyFolder
from lenet.studies.progress import StudyProgress
from lenet.studies.report import write_report
from lenet.studies.running import run_study
from lenet.studies.study import Arm, Study, Task, built_in, find
from lenet.studies.words import verdict

__all__ = [
    "Arm",
    "Study",
    "StudyFolder",
    "StudyProgress",
    "Task",
    "analyse",
    "built_in",
    "find",
    "run_study",
    "verdict",
    "write_report",
]
