import pickle
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import lenet

ALLOWED_BY_IMPORT_LENET = {"lenet"}
HEAVY = {"torch", "numpy", "matplotlib", "sklearn", "scipy", "PIL", "httpx", "safetensors"}


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_lenet_imports_nothing_but_the_standard_library():
    third_party = modules_after("import lenet") - modules_after("")
    assert third_party - sys.stdlib_module_names == ALLOWED_BY_IMPORT_LENET


def test_the_command_line_starts_without_numbers_or_pictures():
    assert not modules_after("import lenet.cli") & HEAVY


UNTIL_THE_PICTURE = """
import sys
from lenet.show.figures import curves

def draw(*arguments):
    print("loaded:", *sorted(name.split(".")[0] for name in sys.modules))

curves.draw_curves = draw
sys.argv = ["lenet", "train", "--data", "digits", "--epochs", "1", "--quiet"]
from lenet.cli import main
main()
"""


def test_a_training_loads_nothing_heavy_until_its_picture_is_drawn(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_THE_PICTURE], capture_output=True, text=True, check=True,
        cwd=tmp_path,
    )  # fmt: skip
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("loaded:"))
    loaded = set(line.split())
    assert {"lenet", "numpy"} <= loaded
    assert not loaded & {"scipy", "sklearn", "matplotlib", "joblib", "torch", "httpx", "jinja2"}


def test_predictions_and_lists_load_no_plotting():
    for room in ("prediction.bulk", "cli.prediction", "data", "cli.data", "cli.machine", "model"):
        loaded = modules_after(f"import lenet.{room}")
        assert not loaded & {"scipy", "sklearn", "matplotlib", "joblib", "torch"}, room


def test_a_training_starts_without_what_only_others_need():
    code = "import lenet.training.session, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {
        "httpx",
        "lenet.prediction.bulk",
        "lenet.show.report",
        "lenet.data.published.download",
        "lenet.data.own",
    }
    assert not set(done.stdout.split()) & others


ERRORS = {
    "CheckpointError", "DataError", "DataNotFoundError", "DigestError", "DivergenceError",
    "DownloadError", "EngineError", "ExportError", "FormatError", "InputError",
    "InterruptedRunError", "LenetError", "MachineError", "MissingExtraError", "PartialError",
    "RecipeError", "RunError", "SlowMirrorError", "SpecError", "StoppedError", "StudyError",
    "TakenError", "UsageError",
}  # fmt: skip


def test_the_public_names_are_exactly_these():
    assert set(lenet.__all__) == ERRORS | {
        "Convolution", "Dataset", "Dense", "LeNetClassifier", "Model", "Pooling", "Reading",
        "Recipe", "Run", "Spec", "__version__", "build", "find_rate", "load", "load_module",
        "open_run", "resume", "train", "write_report",
    }  # fmt: skip


def test_every_error_of_the_tree_is_public():
    kinds = vars(lenet.errors).values()
    assert {kind.__name__ for kind in kinds if isinstance(kind, type)} == ERRORS


def test_every_error_goes_to_another_process_as_it_is():
    given = {
        lenet.DivergenceError: ("the loss is nan", 2, 7, False),
        lenet.MissingExtraError: ("this", "torch", "torch"),
        lenet.StoppedError: ("stopped", 15),
        lenet.InterruptedRunError: ("stopped", 2),
    }
    for name in ERRORS:
        kind = getattr(lenet, name)
        error = kind(*given.get(kind, ("what is wrong",)))
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


def test_every_public_name_has_its_home():
    assert set(lenet.__all__) == {*lenet._HOME_OF, "__version__"}
    for name, home in lenet._HOME_OF.items():
        assert getattr(lenet, name) is getattr(import_module(home), name)


def test_the_version_is_that_of_the_project():
    text = (Path(lenet.__file__).parents[2] / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["version"] == lenet.__version__


def test_the_top_of_the_package_is_its_rooms():
    top = {path.name for path in Path(lenet.__file__).parent.iterdir()} - {"__pycache__"}
    rooms = {
        "cli", "data", "engines", "estimator", "export", "network", "prediction", "recipe", "runs",
        "serve",
        "show", "studies", "system", "training",
    }  # fmt: skip
    assert top == rooms | {"__init__.py", "__main__.py", "errors.py", "model.py", "py.typed"}


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(lenet, "AlexNet")
