import subprocess
import sys
from importlib import import_module

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


def test_a_training_needs_no_plotting_before_its_end():
    assert "matplotlib" not in modules_after("import lenet.training.session")
    assert "torch" not in modules_after("import lenet.training.session")


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


def test_the_public_names_are_exactly_these():
    assert set(lenet.__all__) == {
        "LeNetClassifier", "LenetError", "Recipe", "Run", "Spec", "__version__", "build",
        "load_module", "open_run", "resume", "train", "TrainedRun", "write_report",
    }  # fmt: skip


def test_every_public_name_has_its_home():
    for name in set(lenet.__all__) - {"__version__"}:
        assert getattr(lenet, name) is getattr(import_module(lenet._HOMES[name]), name)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(lenet, "AlexNet")
