"""lenet without what a user may lack: a compiler, a framework, an extra."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need

import lenet
from lenet.engines import availability, native

ROOT = Path(__file__).parents[1]

WITHOUT = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
from lenet.cli import main
sys.argv = ["lenet", *{words!r}]
main()
"""


def lenet_without(blocked, *words, cwd=None):
    """The command line where some modules cannot be imported; (exit code, stderr)."""
    code = WITHOUT.format(blocked=blocked, words=list(map(str, words)))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=cwd
    )
    return done.returncode, done.stderr


def test_without_a_compiler_train_says_what_is_missing_and_both_cures(tmp_path):
    code, err = lenet_without(
        ["lenet.engines._native"], "train", "--data", "digits", "--engine", "native",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 7
    assert "engine 'native' is not built" in err
    assert "install a C++ compiler" in err
    assert "pip install 'lenet[torch]'" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_without_ray_a_cluster_is_refused_with_the_cure(tmp_path):
    code, err = lenet_without(
        ["ray"], "study", "run", "pooling", "--out", tmp_path, "--cluster", "auto"
    )
    assert code == 7
    assert "--cluster needs Ray; install it with: pip install 'lenet[ray]'" in err


def test_without_pyarrow_parquet_is_refused_with_the_cure(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    code, err = lenet_without(["pyarrow"], "train", "--data", tmp_path / "a.parquet")
    assert code == 2
    assert "Parquet needs PyArrow, which is missing" in err
    assert "pip install 'lenet[parquet]'" in err


CORE_LACKS = ["sklearn", "scipy", "joblib", "torch", "ray", "pyarrow", "pandas"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        ["models"],
        ["doctor"],
        ["data", "list"],
        ["data", "show", "digits"],
        ["data", "export", "digits", "new", "--count", "3"],
        ["train", "--data", "digits", "--epochs", "1", "--quiet", "--out", "new"],
        ["evaluate", "RUN"],
        ["explain", "RUN", "test:3"],
        ["report", "RUN"],
        ["predict", "RUN", "PICTURE"],
        ["predict", "RUN", "PICTURE", "--out", "a.csv"],
        ["lr-find", "--data", "digits", "--steps", "12"],
        ["study", "list"],
    ],
    ids=" ".join,
)
def test_the_core_does_its_work_without_any_extra(digits_run, pictures, tmp_path, words):
    places = {"RUN": str(digits_run.path), "PICTURE": str(pictures / "001.png")}
    places["RUN"] = str(shutil.copytree(digits_run.path, tmp_path / "run"))
    words = [places.get(word, word) for word in words]
    code, err = lenet_without(CORE_LACKS, *words, cwd=tmp_path)
    assert (code, "Traceback" in err) == (0, False), err


@pytest.fixture
def pictures(tmp_path):
    from lenet import data

    data.export(data.load("digits"), "test", tmp_path / "made", 2)
    (tmp_path / "pictures").mkdir()
    for index, path in enumerate(sorted((tmp_path / "made").rglob("*.png"))):
        shutil.copy(path, tmp_path / "pictures" / f"{index:03}.png")
    return tmp_path / "pictures"


def test_without_scipy_a_study_is_refused_before_its_runs(tmp_path):
    code, err = lenet_without(["scipy"], "study", "run", "pooling", "--out", tmp_path / "s")
    assert code == 2
    assert "a study needs SciPy, which is missing" in err
    assert "pip install 'lenet[studies]'" in err
    assert not (tmp_path / "s").exists()


def test_without_scikit_learn_the_classifier_says_so():
    code = "import sys; sys.modules['sklearn'] = None; import lenet; lenet.LeNetClassifier"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: LeNetClassifier needs scikit-learn" in done.stderr
    assert "pip install 'lenet[sklearn]'" in done.stderr
    assert issubclass(lenet.MissingExtraError, ImportError)


def test_what_the_compiler_said_is_kept_and_shown_by_the_error_and_the_doctor(
    tmp_path, monkeypatch
):
    cmake, compiler = shutil.which("cmake", path=Path(sys.executable).parent), shutil.which("c++")
    need(cmake is not None, "install CMake: pip install cmake")
    need(compiler is not None, "install a C++ compiler: apt install g++")
    failure, source = tmp_path / "failure.txt", tmp_path / "old.cpp"
    source.write_text("int main() { return a_word_of_a_newer_compiler; }\n")
    launcher = [cmake, f"-DFAILURE={failure}", "-DCOMPILER=GNU 9.4.0", "-P"]
    words = [ROOT / "native" / "keep_failure.cmake", "--", compiler, "-c", source, "-o"]
    done = subprocess.run([*launcher, *words, tmp_path / "a.o"], capture_output=True, check=False)
    assert done.returncode != 0
    monkeypatch.setitem(sys.modules, "lenet.engines._native", None)
    monkeypatch.setattr(native, "FAILURE", failure)
    shown = availability()["native"]
    assert shown == native.missing_reason()
    assert f"is not built, for GNU 9.4.0 ({compiler}) ended with 1" in shown
    assert "a_word_of_a_newer_compiler" in shown
    assert str(failure) in shown
    assert "install lenet again with another compiler" in shown
    assert "install a C++ compiler" not in shown
    source.write_text("int main() {}\n")
    failure.unlink()
    subprocess.run([*launcher, *words, tmp_path / "a.o"], capture_output=True, check=True)
    assert not failure.exists()


def test_an_install_takes_no_warning_for_an_error():
    text = (ROOT / "native" / "CMakeLists.txt").read_text()
    assert re.search(r"option\(LENET_WERROR .* OFF\)", text)
    assert "LENET_WERROR=ON" in (ROOT / "Makefile").read_text()


def test_every_native_file_says_in_its_first_line_what_it_holds():
    files = sorted((ROOT / "native").glob("*.[ch]pp"))
    assert len(files) > 20
    for path in files:
        first = path.read_text().splitlines()[0]
        assert re.fullmatch(r"// [A-Z].*\.", first), f"{path.name}: {first}"
