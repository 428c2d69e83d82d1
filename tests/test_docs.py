import importlib.util
import re
import shlex
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import run_lenet
from pages import shell_commands, shortened

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
USER_PAGES = [
    DOCS / f"{name}.md"
    for name in ("learner", "engineer", "researcher", "commands", "export", "export-c", "page")
]


def test_both_readmes_have_the_same_commands_and_the_same_python():
    english, chinese = PAGES
    assert shell_commands(english) == shell_commands(chinese)
    code = [
        [
            re.sub(r"\s*#.*", "", block)
            for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        ]
        for text in (english.read_text(), chinese.read_text())
    ]
    assert code[0] == code[1]


@pytest.mark.parametrize(
    "page",
    [
        PAGES[0],
        *(pytest.param(page, marks=pytest.mark.thorough) for page in USER_PAGES),
    ],
    ids=lambda page: page.name,
)
def test_everything_on_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, page):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    commands = shell_commands(page)
    assert len(commands) >= 5
    run_commands(commands)
    run_python(page)


@pytest.mark.thorough
def test_the_page_on_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(DOCS / "python.md")


def run_commands(commands):
    for command in commands:
        program, *words = shlex.split(command)
        if program == "lenet":
            code, _, err = run_lenet(*shortened(words))
        else:
            assert program in ("cmp", "cc")
            done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
            code, err = done.returncode, done.stderr
        assert code == 0, f"{command}\n{err}"


def run_python(page):
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(code, page.name, "exec"), {})  # noqa: S102 - our own page


def architecture():
    spec = importlib.util.spec_from_file_location("architecture", DOCS / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_map_of_the_house_is_fresh():
    """`make map` writes it."""
    made = architecture()
    assert made.page() == (DOCS / "architecture.md").read_text()
    assert made.drawing() == (DOCS / "images" / "rooms.svg").read_text()


def test_the_map_names_every_file_once():
    page = (DOCS / "architecture.md").read_text()
    named = re.findall(r"^\| \[`((?:src|native)/[^`]+)`\]", page, re.MULTILINE)
    rooms = re.findall(r"^### `(src/[^`]+)/`$", page, re.MULTILINE)
    named += [f"{room}/__init__.py" for room in rooms if room != "src/lenet"]
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "native").glob("*.[ch]pp")]
    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in files)


def test_every_room_says_what_is_kept_there_and_what_it_may_know():
    made = architecture()
    for folder in made.rooms():
        words = " ".join(made.docstring(folder / "__init__.py").split())
        assert "Kept here: " in words, folder
        assert "may know" in words, folder


def test_a_walk_that_names_what_is_not_there_is_an_error():
    made = architecture()
    with pytest.raises(LookupError, match=r"src/lenet/model\.py has no Model\.guess: put the walk"):
        made.walk((("model.py: Model.guess", "guesses"),))
    with pytest.raises(LookupError, match=r"native/step\.cpp has no guess: put the walk right"):
        made.walk((("native/step.cpp: guess", "guesses"),))


def test_every_link_of_the_docs_leads_somewhere():
    for page in [*PAGES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tasks_that_the_docs_name_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", DOCS / "engine.md"]:
        for task in re.findall(r"^    make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{task}:", makefile, re.MULTILINE), task


def test_every_dependency_has_its_reason_in_the_readme():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ]", line)[0] for line in project["dependencies"]}
    section = PAGES[0].read_text().split("## Dependencies")[1].split("##")[0]
    reasons = re.findall(r"^\| ([a-z0-9, -]+) \|", section, re.MULTILINE)
    listed = {name.strip() for row in reasons for name in row.split(",")} - {"package"}
    assert names <= listed
    extras = set(project["optional-dependencies"]) - {"bench", "test", "development"}
    assert extras <= listed


def test_the_readme_is_short_and_both_readmes_have_the_same_parts():
    english, chinese = (page.read_text() for page in PAGES)
    assert len(english.splitlines()) <= 150
    for text in (english, chinese):
        assert len(re.findall(r"^## ", text, re.MULTILINE)) == 5
        assert len(re.findall(r"^!\[", text, re.MULTILINE)) == 2  # the curves, and the page
    assert shell_commands(PAGES[0]) == shell_commands(PAGES[1])
    assert python_lines(english) == python_lines(chinese)
    assert figures(english) == figures(chinese)
    assert numbers(english) == numbers(chinese)


def numbers(text):
    """Every number of the part on numbers; the order of words differs between languages."""
    part = text.split("\n## ")[3].split("\n## ")[0]
    return sorted(re.findall(r"\d[\d,.]*\d|\d", part))


def python_lines(text):
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [line.split("#")[0].strip() for line in code.splitlines()]


def figures(text):
    """The rows of the table of numbers, without their names."""
    table = text.split("| lenet | PyTorch |")[1].split("\n\n")[0]
    return [row.split("|")[2:] for row in table.splitlines()[2:]]


def test_every_change_of_an_image_is_explained():
    from lenet.recipe.augmentation import Augmentation

    section = (DOCS / "recipes.md").read_text().split("## What may become of an image")[1]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*)", section, re.MULTILINE)))
    assert [field.name for field in fields(Augmentation)] == named[: len(fields(Augmentation))]


def test_the_numbers_of_the_readme_are_those_of_the_benchmarks():
    measured = (DOCS / "benchmarks.md").read_text()
    rows = figures(PAGES[0].read_text())
    cells = [cell.strip() for row in rows for cell in row if cell.strip()]
    assert len(cells) == 12
    for cell in cells:
        assert f"| {cell} " in measured, cell
    for number in ("1,131,960", "764,760"):
        assert number in PAGES[0].read_text()
        assert number in measured


def test_exit_codes_are_those_of_the_error_tree():
    from lenet import errors

    section = (DOCS / "commands.md").read_text().split("## Exit codes")[1].split("##")[0]
    documented = {int(code) for code in re.findall(r"\b(\d+)\b(?=[^|]*\|)", section)}
    used = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert used | {0, 130, 143} <= documented


def test_no_file_is_over_a_megabyte():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert all(
        (ROOT / name).stat().st_size < 1_000_000 for name in listed if (ROOT / name).exists()
    )


def test_the_studys_page_has_the_numbers_of_its_table():
    import csv

    page = (ROOT / "docs" / "studies" / "head-activation.md").read_text()
    with open(ROOT / "docs" / "studies" / "head-activation" / "comparisons.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    for row in rows:
        mean, low, high = (f"{100 * float(row[name]):+.2f}" for name in ("mean", "low", "high"))
        p = float(row["p_holm"])
        assert f"| {mean} | {low} to {high} | {p:.3f} |" in page


def test_every_test_that_the_log_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "log.md").read_text("utf-8")))
    there = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert len(named) > 60
    assert not named - there
