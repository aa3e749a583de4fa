"""Law 6: imports go one way, and heavy packages have one place each. Read from the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("schemas", "mimic", "pipelines", "train")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def _imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Full names that import statements anywhere below ``tree`` ask for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*parents, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _all_imports(module: str) -> set[str]:
    path = FILES[module]
    return set(_imports(ast.parse(path.read_text()), module, path.name == "__init__.py"))


def _load_time_imports(module: str) -> set[str]:
    """Imports that happen when the module is loaded: none inside functions or type-checking."""
    path = FILES[module]
    tree = ast.parse(path.read_text())
    outside = ast.Module(
        [
            node
            for node in tree.body
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If))
        ],
        [],
    )
    return set(_imports(outside, module, path.name == "__init__.py"))


def _top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def _loaded_with(module: str) -> set[str]:
    """Everything that loading a module loads: project modules and top-level outsiders."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in FILES:
            continue
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        names = _load_time_imports(name)
        waiting += [*parents, *(n for n in names if n in FILES)]
        seen |= _top(names)
    return seen


@pytest.mark.parametrize("module", FILES)
def test_project_imports_go_one_way(module: str) -> None:
    allowed = {
        "schemas": {"schemas"},
        "mimic": {"schemas", "mimic"},
        "pipelines": {"schemas", "mimic", "pipelines"},
        "train": {"schemas", "mimic", "train"},
    }[module.split(".")[0]]
    found = _top(_all_imports(module)) & {*PACKAGES, "tests", "benchmarks"}
    assert found <= allowed


@pytest.mark.parametrize("module", FILES)
def test_heavy_packages_stay_in_their_places(module: str) -> None:
    package = module.split(".")[0]
    places = {
        "ray": package == "pipelines",
        "torch": package == "train" or module == "mimic.depth.huggingface",
        "transformers": module == "mimic.depth.huggingface",
        "huggingface_hub": module == "mimic.depth.huggingface",
        "pycolmap": module == "mimic.reconstruction.colmap",
        "cv2": module == "mimic.opencv",
        "av": module == "mimic.pyav",
        "trimesh": module.startswith("mimic.simulators.raycast."),
        "embreex": module.startswith("mimic.simulators.raycast."),
        "habitat_sim": module == "mimic.simulators.habitat",
        "PIL": module in {"mimic.report.pictures", "mimic.shards.png"} or package == "train",
        "typer": module.startswith("pipelines.cli") or package == "train",
    }
    forbidden = {name for name, is_place in places.items() if not is_place}
    assert not _top(_all_imports(module)) & forbidden


@pytest.mark.parametrize("module", [name for name in FILES if name.startswith("schemas")])
def test_schemas_need_pyarrow_and_the_standard_library_only(module: str) -> None:
    allowed = set(sys.stdlib_module_names) | {"pyarrow", "schemas"}
    assert _top(_all_imports(module)) <= allowed


@pytest.mark.parametrize("module", [name for name in FILES if name.startswith("mimic.shards")])
def test_shards_can_be_read_without_decoders(module: str) -> None:
    assert not _loaded_with(module) & {"cv2", "av", "ray", "torch", "PIL"}


@pytest.mark.parametrize("module", [name for name in FILES if name.startswith("train")])
def test_training_sees_schemas_shards_and_their_leaves_only(module: str) -> None:
    ours = {name for name in _all_imports(module) if name.split(".")[0] == "mimic"}
    leaves = ("mimic.shards", "mimic.errors", "mimic.layered", "mimic.storage")
    assert all(name == "mimic" or name.startswith(leaves) for name in ours)


@pytest.mark.parametrize("module", [name for name in FILES if not name.startswith("train")])
def test_what_is_an_extra_is_loaded_only_when_it_is_asked_for(module: str) -> None:
    assert not _loaded_with(module) & {"torch", "transformers", "huggingface_hub", "pycolmap"}


@pytest.mark.parametrize(
    "statement",
    [
        "import mimic, schemas",
        "import mimic.shards",
        "import mimic.sources",
        "from pipelines.cli import run; assert run(['--help']) == 0",
        "from pipelines.cli import run; assert run(['mine', '--help']) == 0",
    ],
)
def test_what_must_start_quickly_loads_nothing_heavy(statement: str) -> None:
    heavy = {"ray", "torch", "PIL", "cv2", "av", "webdataset", "s3fs", "trimesh", "embreex"}
    code = f"{statement}\nimport sys\nassert not {heavy!r} & set(sys.modules), sorted(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
