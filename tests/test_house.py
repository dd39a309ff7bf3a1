"""What a machine can hold of the house style: clean, typed, one way, documented, and nothing of a workplace in it."""

import ast
import doctest
import functools
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "drivers", "analytics", "config")
PYTHON = [sys.executable, "-P"]


@functools.cache
def tracked() -> tuple[Path, ...]:
    """The files of the project: what git has or would take, else (an unpacked archive) all but the hidden folders."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return tuple(p for p in (HOUSE / name for name in listed.stdout.split("\0") if name) if p.is_file())
    return tuple(p for p in HOUSE.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(HOUSE).parts))


@functools.cache
def sources() -> tuple[tuple[Path, ast.Module], ...]:
    """Every module of the product, parsed."""
    paths = [path for package in PACKAGES for path in sorted((HOUSE / package).rglob("*.py"))]
    return tuple((path.relative_to(HOUSE), ast.parse(path.read_text("utf-8"))) for path in paths)


def passes(*command: str) -> None:
    done = subprocess.run([*PYTHON, *command], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n" + done.stdout[-6000:] + done.stderr[-2000:]


# ── clean, typed, one way ────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_code_is_clean():
    passes("-m", "ruff", "check", ".")


@pytest.mark.timeout(400)
def test_every_public_name_is_typed():
    passes("-m", "mypy", "--no-error-summary")


def test_imports_go_one_way():
    passes("-c", "import sys; sys.argv = ['lint-imports', '--no-cache']; from importlinter.cli import lint_imports_command; lint_imports_command()")


def test_every_init_is_empty():
    assert [path for path, _ in sources() if path.name == "__init__.py" and (HOUSE / path).read_text().strip()] == []


NAMED_ALIKE = {"site", "secrets"}
"""The words of the site file itself. All imports are absolute from the packages, so nothing is hidden by them; no more of these."""


def test_no_module_is_named_like_one_of_the_standard_library():
    plug_points = {"lines", "protocols", "sinks", "channels"}  # there the file's name is the word of the site file: kind = "serial", "email"
    alike = {p.as_posix() for p, _ in sources() if p.stem in sys.stdlib_module_names - NAMED_ALIKE and p.parent.name not in plug_points}
    assert alike == {"drivers/simulated/__main__.py"} & alike


ONE_PLACE = {  # a dependency is made for its field, and is met there only
    "numba": ("analytics/kernels/",),
    "sqlite3": ("gateway/journal/",),
    "serial": ("drivers/lines/", "drivers/simulated/"),
    "paho": ("drivers/lines/", "gateway/broker.py", "drivers/simulated/", "gateway/demo.py"),
    "influxdb_client": ("gateway/sinks/",),
    "starlette": ("gateway/console/",),
    "uvicorn": ("gateway/console/",),
    "h11": ("drivers/lines/", "drivers/simulated/", "gateway/console/patience.py"),
    "apscheduler": ("gateway/timetable.py",),
    "urllib3": ("gateway/exchange.py", "gateway/dial.py", "gateway/sinks/"),
    "amqtt": ("drivers/simulated/",),
    "pyarrow": ("gateway/parquet.py",),
}


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_each_dependency_is_imported_in_its_one_place():
    strays = [f"{path}: {name}" for path, tree in sources() for name in imported(tree)
              if name in ONE_PLACE and not path.as_posix().startswith(ONE_PLACE[name])]
    assert strays == []


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    import_names = {"influxdb_client": "influxdb-client", "paho": "paho-mqtt", "serial": "pyserial", "pydantic_core": "pydantic"}
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    declared = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower() for text in [*project["dependencies"], *extras]}
    used = {name for _, tree in sources() for name in imported(tree)} - set(sys.stdlib_module_names) - set(PACKAGES)
    assert {import_names.get(name, name) for name in used} <= declared
    loaded_by_name = {"influxdb-client"}  # gateway/sinks/_write_service.py says why
    assert declared - loaded_by_name <= {import_names.get(name, name) for name in used}, "declared, and never imported"


CATCH_ALL = {"gateway/supervisor.py", "gateway/step.py", "gateway/core.py", "gateway/daemon.py"}


def test_only_the_supervisor_and_the_guard_of_the_step_catch_everything():
    strays = []
    for path, tree in sources():
        for handler in (n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)):
            caught = ast.unparse(handler.type) if handler.type else "everything"
            passed_on = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
            if re.search(r"\b(Base)?Exception\b|^everything$", caught) and not passed_on and path.as_posix() not in CATCH_ALL:
                strays.append(f"{path}:{handler.lineno} except {caught}")
    assert strays == []


def test_starting_the_command_loads_nothing_that_a_word_may_not_need():
    heavy = ["pydantic", "numpy", "numba", "influxdb_client", "starlette", "uvicorn", "paho", "serial", "amqtt", "urllib3", "pyarrow"]
    code = f"import gateway.cli, sys; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([*PYTHON, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(HOUSE)})
    assert done.stdout.strip() == "[]"


def test_details_are_told_by_our_own_loggers_and_by_no_library():
    """At the start numba alone would write 49,000 lines of them."""
    named = {match for path, _ in sources() for match in re.findall(r'getLogger\("([^"]+)"\)', (HOUSE / path).read_text("utf-8"))}
    named |= {".".join(path.with_suffix("").parts) for path, _ in sources() if "getLogger(__name__)" in (HOUSE / path).read_text("utf-8")}
    code = f"""
import logging
from gateway.cli import main
main(["-v", "decode", "--protocol", "none"])  # says that it knows none of this name
print([name for name in {sorted(named)} if not logging.getLogger(name).isEnabledFor(logging.DEBUG)],
      [name for name in ("numba.core.ssa", "paho", "asyncio", "") if logging.getLogger(name).isEnabledFor(logging.DEBUG)])"""
    done = subprocess.run([*PYTHON, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(HOUSE)})
    assert len(named) > 20
    assert done.stdout.splitlines()[-1] == "[] []"


# ── examples that run ────────────────────────────────────────────────────────────────────────────────────────────────────
def with_examples() -> list[str]:
    return [".".join(path.with_suffix("").parts) for path, _ in sources() if ">>>" in (HOUSE / path).read_text("utf-8")]


@pytest.mark.parametrize("module", with_examples())
def test_the_examples_in_docstrings_are_true(module: str):
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried > 0
    assert failed == 0


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    yield from (node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"))


def test_every_index_has_an_example_that_runs():
    indices = [(path, tree) for path, tree in sources() if path.match("analytics/indices/[!_]*.py")]
    bare = [f"{path}:{f.lineno} {f.name}" for path, tree in indices for f in public_functions(tree) if ">>>" not in (ast.get_docstring(f) or "")]
    assert indices
    assert bare == []


# ── documented ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@functools.cache
def pages() -> dict[str, str]:
    """Every page of the project by its path."""
    return {str(p.relative_to(HOUSE)): p.read_text("utf-8") for p in tracked() if p.suffix == ".md" and "cases" not in p.parts}


def missing_from_docs(words: list[str]) -> list[str]:
    text = "\n".join(pages().values())
    return [word for word in words if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)]


def command_words() -> list[str]:
    """Every word and long option of the command line."""
    from gateway.cli import parser

    top = parser()
    words = [option for action in top._actions for option in action.option_strings if option.startswith("--")]
    for action in top._subparsers._group_actions if top._subparsers else ():
        for name, word in (action.choices or {}).items():
            words.append(f"ecosentry {name}")
            words += [option for a in word._actions for option in a.option_strings if option.startswith("--")]
    return sorted(set(words))


def test_every_word_and_option_of_the_command_is_in_the_docs():
    assert missing_from_docs(command_words()) == []


def plug_ins() -> list[str]:
    folders = ("drivers/lines", "drivers/protocols", "gateway/sinks", "gateway/channels")
    found = [p for folder in folders for p in sorted((HOUSE / folder).glob("[!_]*"))]
    return [p.stem for p in found if p.suffix == ".py" or (p.is_dir() and p.name.isidentifier())]


def test_every_plug_in_is_in_the_docs():
    found = plug_ins()
    assert len(found) >= 7
    assert missing_from_docs([f'"{name}"' for name in sorted(set(found))]) == []  # as one writes it: kind = "tcp"


def make_targets() -> list[str]:
    targets: list[str] = re.findall(r"^([a-z]+):", (HOUSE / "Makefile").read_text("utf-8"), re.MULTILINE)
    return targets


def test_every_make_target_is_in_the_docs():
    from proof.campaigns import names

    assert missing_from_docs([*(f"make {target}" for target in make_targets()), *(f"make proof-{name}" for name in names())]) == []


def fenced(language: str) -> list[tuple[str, str]]:
    found = []
    for name, text in pages().items():
        found += [(name, block) for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    return found


def test_every_toml_example_in_the_docs_is_toml():
    examples = fenced("toml")
    assert len(examples) >= 3
    for page, text in examples:
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            pytest.fail(f"{page}: {error}\n{text}")


def test_every_whole_site_file_in_the_docs_passes_the_check():
    from config.reading_site import read_site_text
    from gateway.plugins import Plugins

    whole = [(page, text) for page, text in fenced("toml") if text.startswith("# site.toml")]
    assert whole
    for page, text in whole:
        site = read_site_text(text, Plugins(), page)
        assert site.stations, page


def test_every_link_between_pages_leads_somewhere():
    dead = []
    for name, text in pages().items():
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        dead += [f"{name}: {t}" for t in targets if not re.match(r"[a-z]+:", t) and not (HOUSE / name).parent.joinpath(t).exists()]
    assert dead == []


def test_every_file_named_in_the_docs_exists():
    """`docs/x.md`, `gateway/y.py` and the like; a page that speaks of what comes later says so without the folder."""
    folders = "docs|gateway|drivers|analytics|config|tests|tools|systemd|benchmarks"
    named = rf"`((?:{folders})/[\w./-]+\.(?:py|md|toml|service|json|sql|csv))`"
    found = {(name, path) for name, text in pages().items() for path in re.findall(named, text) if "NAME" not in path}
    assert sorted(f"{name}: {path}" for name, path in found if not (HOUSE / path).exists()) == []


# ── promises ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_test_that_a_promise_names_exists():
    named = re.findall(r"`((?:tests/)?[\w/]+\.py)::(\w+)`", pages()["docs/promises.md"])
    assert len(named) >= 10
    missing = []
    for file, test in named:
        path = HOUSE / (file if file.startswith("tests/") else f"tests/{file}")
        if not path.exists() or not re.search(rf"^\s*def {test}\(", path.read_text("utf-8"), re.MULTILINE):
            missing.append(f"{file}::{test}")
    assert missing == []


def test_promises_quote_only_figures_that_were_proved():
    """A figure is written as **figure** (NAME.key) and must stand so in docs/proof/NAME.json."""
    quoted = re.findall(r"\*\*([^*]+)\*\* \(`([\w-]+)\.(\w+)`\)", pages()["docs/promises.md"])
    for figure, name, key in quoted:
        path = HOUSE / "docs" / "proof" / f"{name}.json"
        assert path.exists(), f"docs/promises.md quotes {name}.{key}, but make proof-{name} was never written down"
        proved = json.loads(path.read_text("utf-8"))["figures"]
        assert key in proved, f"{name}.json has no figure {key}; it has {', '.join(proved)}"
        assert figure.replace(" ", "").replace(",", "") == f"{proved[key]}", f"docs/promises.md says {figure}, {name}.json {proved[key]}"
    loose = [text for text in re.findall(r"\*\*([^*]*\d[^*]*)\*\*", pages()["docs/promises.md"]) if text not in [q[0] for q in quoted]]
    assert loose == [], "a bold figure without (`NAME.key`)"


def test_every_proof_is_whole_and_says_what_it_proved():
    from proof.record import read_record

    for path in sorted((HOUSE / "docs" / "proof").glob("*.json")):
        record = read_record(path)
        assert record.name == path.stem
        assert record.figures
        assert record.files


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────
FORBIDDEN = {
    "a package registry's address": r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org|index-url[ =]+\S*:|find-links[ =]+\S*:",
    "a path of one machine": r"(?<![\w.$}/-])/(?:work|root|home/[a-z]+)/[\w.]|(?<![\w.$}/-])/tmp/[A-Za-z]\w",
    "a secret": r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30}",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str):
    found = []
    for path in tracked():
        if path == Path(__file__) or path.suffix in {".png", ".db", ".gz", ".woff2", ".ico"}:
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if re.search(FORBIDDEN[what], line):
                found.append(f"{path.relative_to(HOUSE)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_no_file_is_larger_than_two_megabytes():
    assert [f"{p.relative_to(HOUSE)} {p.stat().st_size}" for p in tracked() if p.stat().st_size > 2_000_000] == []


def test_the_version_is_the_newest_of_the_changelog():
    version = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", pages()["CHANGELOG.md"], re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_the_lock_has_every_requirement_with_hashes():
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))
    wanted = {"requirements.lock": [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["demo"]]}
    wanted["requirements-parquet.lock"] = project["project"]["optional-dependencies"]["parquet"]
    wanted["requirements-test.lock"] = [*wanted["requirements.lock"], *wanted["requirements-parquet.lock"], *project["dependency-groups"]["test"]]
    for name, requirements in wanted.items():
        text = (HOUSE / name).read_text("utf-8")
        locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
        assert {re.split(r"[^A-Za-z0-9._-]", r)[0].lower() for r in requirements} <= locked, name
        for block in re.split(r"\n(?=[a-z])", text):
            assert "==" not in block or block.count("--hash=sha256:") >= 1, block
    small, extra, large = (dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (HOUSE / name).read_text("utf-8"), re.MULTILINE)) for name in wanted)
    assert {name: large.get(name) for name in small | extra} == small | extra, "the tests run with other versions than the product"


@pytest.mark.skipif(not os.environ.get("CI"), reason="a developer's machine may lack a server; its tests skip by name")
def test_in_ci_no_program_is_lacking():
    done = subprocess.run(["sh", "tools/servers"], cwd=HOUSE, capture_output=True, text=True, check=True, env={**os.environ, "NO_APT": "1"})
    assert done.stdout == ""
