"""The formats as rows of one table."""

from __future__ import annotations

from lenet.errors import UsageError
from lenet.export import c_file, hub_folder, onnx_file, tflite_file, torch_folder
from lenet.export.base import Format, Options

FORMATS: dict[str, Format] = {
    "onnx": onnx_file.FORMAT,
    "tflite": tflite_file.FORMAT,
    "c": c_file.FORMAT,
    "torch": torch_folder.FORMAT,
    "hub": hub_folder.FORMAT,
}


def find_format(name: str, options: Options) -> Format:
    """The row of that name, which takes what was chosen in `options`.

    Raises:
        UsageError: if there is none, or it knows no such option.
    """
    if name not in FORMATS:
        raise UsageError(f"no format is called {name!r}; known are {', '.join(FORMATS)}")
    row = FORMATS[name]
    usual = Options()
    for option in Options.__dataclass_fields__:
        if getattr(options, option) != getattr(usual, option) and option not in row.takes:
            some = [key for key, each in FORMATS.items() if option in each.takes]
            raise UsageError(f"{option} is for {', '.join(some)}, and not for {name}")
    return row
