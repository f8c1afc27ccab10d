"""The house stands as docs/architecture.md draws it: imports point one way, in no circle."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOUNDATION = {"errors", "types", "paths", "redact", "settings", "progress", "extras"}
MAY_IMPORT = {
    "metrics": set(),
    "stats": {"metrics"},
    "results": {"metrics", "stats"},
    "probes": {"metrics", "stats", "results"},
    "engine": {"metrics", "stats", "results"},
    "registry": {"metrics", "stats", "results", "probes", "engine"},
    "runner": {"metrics", "stats", "results", "probes", "engine", "registry"},
    "training": {"metrics", "stats", "engine"},
    "profiling": {"metrics", "stats", "results", "probes", "engine", "registry", "runner"},
    "gating": {"metrics", "stats", "results", "probes", "engine", "registry", "runner"},
    "watching": {
        "metrics", "stats", "results", "probes", "engine", "registry", "runner", "gating",
    },
    "validity": {
        "metrics", "stats", "results", "probes", "engine", "registry", "runner", "training",
    },
    "variants": {
        "metrics", "stats", "results", "probes", "engine", "registry", "runner", "training",
        "profiling",
    },
    "cli": {
        "metrics", "stats", "results", "probes", "engine", "registry", "runner", "gating",
        "training", "validity", "profiling", "variants", "watching",
    },
}  # fmt: skip
TORCHLESS = ["metrics", "stats", "results", "gating"]


def imported_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_imports(layer: str) -> Iterator[tuple[Path, str]]:
    for file in sorted((ROOT / "evalkit" / layer).rglob("*.py")):
        for name in imported_names(file):
            parts = name.split(".")
            if parts[0] == "evalkit" and len(parts) > 1 and parts[1] not in (layer, "__version__"):
                yield file, parts[1]


def test_every_folder_is_a_known_layer():
    folders = {p.name for p in (ROOT / "evalkit").iterdir() if p.is_dir() and any(p.glob("*.py"))}
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_point_one_way(layer):
    wrong = [
        f"{file.relative_to(ROOT)} imports evalkit.{other}"
        for file, other in layer_imports(layer)
        if other not in MAY_IMPORT[layer] | FOUNDATION
    ]
    assert not wrong


def test_the_foundation_imports_no_layer():
    for name in FOUNDATION:
        others = {
            part.split(".")[1]
            for part in imported_names(ROOT / "evalkit" / f"{name}.py")
            if part.startswith("evalkit.")
        }
        assert others <= FOUNDATION, name


def test_the_dashboard_asks_results_for_every_figure():
    for file in (ROOT / "dashboard").rglob("*.py"):
        used = {name.split(".")[1] for name in imported_names(file) if name.startswith("evalkit.")}
        assert used <= {"results", "stats"} | FOUNDATION, file


@pytest.mark.parametrize("layer", TORCHLESS)
def test_layers_that_need_no_model_import_no_torch(layer):
    code = f"import sys, evalkit.{layer}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_loads_no_heavy_library():
    code = (
        "import sys; sys.argv = ['evalkit', '--help']\n"
        "from evalkit.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'streamlit', 'pandas', 'lm_eval', 'pyarrow', 'scipy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout


def test_help_loads_little():
    """What is loaded is what the start takes; pandas alone would double it."""
    code = (
        "import sys\n"
        "from evalkit.cli import main\n"
        "sys.argv = ['evalkit', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(len(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stderr) < 600
