import json
from pathlib import Path

import pytest
from conftest import need_module

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_notebooks_differ_in_their_words_alone():
    codes = []
    for name in ("lenet.ipynb", "lenet.zh-CN.ipynb"):
        cells = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
        codes.append(["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"])
    assert codes[0] == codes[1]


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_from_top_to_bottom(fashion_mnist, tmp_path):
    need_module("ipykernel", "pip install 'lenet[development]'")
    nbformat = need_module("nbformat", "pip install 'lenet[development]'")
    client = need_module("nbclient", "pip install 'lenet[development]'")
    notebook = nbformat.read(EXAMPLES / "lenet.ipynb", as_version=4)
    client.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    text = "".join(out.get("text", "") for out in outputs)
    assert "61,706 parameters" in text
    assert "every image gets the same answer" in text
    assert "report.html" in text
    kinds = [kind for out in outputs for kind in out.get("data", {})]
    assert "image/png" in kinds  # the decision
    charts = [out for out in outputs if "<svg" in str(out.get("data", {}).get("text/html", ""))]
    # One live figure a training, updated in place, and the one that was asked for.
    assert len(charts) == 4
    assert all("<polyline" in chart["data"]["text/html"] for chart in charts[:2])
