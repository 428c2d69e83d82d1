"""Every error that lenet raises for a reason a user can act on.

    LenetError                    exit 1
    ├── UsageError                exit 2   a flag, recipe, spec or file of numbers that cannot work
    │   ├── RecipeError
    │   ├── SpecError
    │   ├── StudyError
    │   ├── InputError            also a ValueError
    │   └── MissingExtraError     also an ImportError
    ├── PartialError              exit 3   the work is done, but some inputs could not be used
    ├── DivergenceError           exit 4   the loss is not finite, or the network is dead
    ├── DataError                 exit 5   a data set that is missing, damaged or refused
    │   ├── DataNotFoundError
    │   ├── DownloadError
    │   │   └── SlowMirrorError
    │   ├── DigestError
    │   └── FormatError
    ├── RunError                  exit 6   a run's folder that cannot be used
    │   ├── TakenError
    │   └── CheckpointError
    ├── EngineError               exit 7   an engine or device that is not available
    ├── MachineError              exit 8   no memory, a stream or another file that fails
    └── ExportError               exit 9   an exported file that does not answer like its run

    StoppedError                  exit 128 + the signal's number; a KeyboardInterrupt
    └── InterruptedRunError       the same, after the checkpoint of a training was written

A message names the value, the place and the cure.  The command line prints it without a traceback
and exits with `exit_code`; exit 1 without a `LenetError` is a bug in lenet.
"""


class LenetError(Exception):
    """Base of every error that lenet raises on purpose."""

    exit_code = 1


class UsageError(LenetError):
    """What the user asked for cannot work, whatever the data."""

    exit_code = 2


class RecipeError(UsageError):
    """A number of the training is out of range, or a recipe file cannot be read."""


class SpecError(UsageError):
    """A network whose layers do not fit each other or the picture."""


class StudyError(UsageError):
    """A study that cannot be run as it is written."""


class InputError(UsageError, ValueError):
    """Arrays, pictures or parameters that were given in Python; callers expect a `ValueError`."""


class MissingExtraError(UsageError, ImportError):
    """A feature needs a package that comes with an extra of lenet, and is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs {package}, which is missing; install it with: "
            f"pip install 'lenet[{extra}]'"
        )
        self._given = feature, package, extra

    def __reduce__(self) -> tuple[object, ...]:
        """For another process, as the two below: by default an error is made of its text alone."""
        return type(self), self._given


class PartialError(LenetError):
    """The work is done, but some of the inputs could not be used."""

    exit_code = 3


class DivergenceError(LenetError):
    """The training loss stopped being finite, or (`collapsed`) the network answers nothing else.

    `epoch` and `step` (in the epoch) say where it was seen, both from 1.
    """

    exit_code = 4

    def __init__(self, message: str, epoch: int, step: int, collapsed: bool) -> None:
        super().__init__(message)
        self.epoch, self.step, self.collapsed = epoch, step, collapsed

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.epoch, self.step, self.collapsed)


class DataError(LenetError):
    """A data set cannot be used."""

    exit_code = 5


class DataNotFoundError(DataError):
    """No place holds the data set, and it could not be fetched."""


class DownloadError(DataError):
    """One mirror failed to deliver a file."""


class SlowMirrorError(DownloadError):
    """A mirror that delivers too slowly to be worth another try."""


class DigestError(DataError):
    """A file's SHA-256 is not the published one."""


class FormatError(DataError):
    """A file is not in the format that its name promises."""


class RunError(LenetError):
    """A run's folder cannot be created, locked, read or written."""

    exit_code = 6


class TakenError(RunError):
    """A run's folder is there already, or somebody else has just made it."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged or not a checkpoint."""


class EngineError(LenetError):
    """An engine or device is not available, or cannot do what was asked of it."""

    exit_code = 7


class MachineError(LenetError):
    """The machine cannot give what the work needs: memory, room on a disk, a stream."""

    exit_code = 8


class ExportError(LenetError):
    """An exported file does not answer like its run, or nothing proves that it does."""

    exit_code = 9


class StoppedError(KeyboardInterrupt):
    """A signal ended the work: Ctrl-C, SIGTERM or SIGHUP.

    No `Exception`, so that it also ends a sweep that goes on after errors.
    """

    exit_code = 130

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.exit_code - 128)


class InterruptedRunError(StoppedError):
    """A signal stopped a run after its checkpoint was written."""
