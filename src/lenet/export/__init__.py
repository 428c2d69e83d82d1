"""A trained network taken along: files in other programs' formats, each with its proof.

Kept here: a file for each format that writes it and runs it as its users will (`onnx_file`,
`torch_folder`, ...), the table of them (`formats`), what they must answer (`rounding`), the one
proof for all (`proof`), and the order of things (`delivery`): nothing is under its final name
before it has answered the whole test split like the run.  It may know networks at work, runs and
data; it trains nothing and draws nothing.  PyTorch stands here as text alone.
"""

from lenet.export.base import Options, Trained
from lenet.export.delivery import Exported, check, export, usual_name
from lenet.export.formats import FORMATS
from lenet.export.proof import Proof

__all__ = ["FORMATS", "Exported", "Options", "Proof", "Trained", "check", "export", "usual_name"]
