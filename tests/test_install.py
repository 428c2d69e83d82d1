"""lenet without what a user may lack: a compiler, a framework."""

import subprocess
import sys

WITHOUT = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
from lenet.cli import main
sys.argv = ["lenet", *{words!r}]
main()
"""


def lenet_without(blocked, *words):
    """The command line where some modules cannot be imported; (exit code, stderr)."""
    code = WITHOUT.format(blocked=blocked, words=list(map(str, words)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
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
