"""The plan of the house, read off the source: who imports whom, and what no file may do. See docs/architecture.md."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.systems import SYSTEMS

ROOT = Path(__file__).parent.parent
FLOORS = ("utils", "data", "models")  # from the ground up; the scripts stand on top
GROUND = {
    "models.config",
    "models.run_folder",
    "models.restoring",
    "models.base",
    "models.sound",
    "models.score",
    "models.phrase",
    "models.layers",
    "models.losses",
}  # what systems and training stand on
STANDS_ON = {"latent_constraint": {"musicvae"}}  # systems built on another system
DEFAULT = ("lt_train.py", "crossmodal")  # the one system that a script may name
UNPICKLERS = {"data.safe_pickle"}  # subclasses of Unpickler that know nothing but what their file allows
HEAVY = {
    "librosa",
    "matplotlib",
    "sklearn",
    "pretty_midi",
    "soxr",
    "symusic",
    "tensorboard",
    "mir_eval",
    "umap",
    "sounddevice",
    "music21",
}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60  # lines
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def parse(paths) -> dict[str, ast.Module]:
    """Return the syntax trees of files by module name."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(paths)}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for path, name in names.items()}


SCRIPTS = parse(ROOT.glob("lt_*.py"))
FLOOR = {floor: parse((ROOT / floor).rglob("*.py")) for floor in FLOORS}
CODE = {name: tree for trees in (*FLOOR.values(), SCRIPTS) for name, tree in trees.items()}
CHECKS = parse([*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


def names_imported(nodes) -> Iterator[str]:
    """Yield the dotted name of everything that `nodes` import; ``from a import b`` yields ``a.b``."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def modules_imported(name: str) -> set[str]:
    """Return the project's modules that a module imports, at its top or inside a function."""
    imported = set(names_imported(ast.walk(CODE[name])))
    return {module for full in imported for module in (full, full.rpartition(".")[0]) if module in CODE}


def system_of(module: str) -> str | None:
    """Return the system whose own file this is: ``models.musicvae`` and ``models.musicvae_config`` are musicvae's."""
    stem = module.removeprefix("models.")
    owners = [system for system in SYSTEMS if module in FLOOR["models"] and f"{stem}_".startswith(f"{system}_")]
    return max(owners, key=len, default=None)


def where(name: str, node: ast.AST) -> str:
    return f"{name}:{node.lineno}"


def test_the_source_is_found():
    assert {"utils.config", "data.audio", "models.base", "lt_train"} <= set(CODE)
    assert "utils.config" in modules_imported("models.config")


def test_imports_never_go_up():
    for height, floor in enumerate(FLOORS):
        allowed = FLOORS[: height + 1]
        for name in FLOOR[floor]:
            assert {module for module in modules_imported(name) if module.split(".")[0] not in allowed} == set(), name


def test_imports_are_absolute_and_go_round_no_circle():
    assert [name for name in CODE for full in names_imported(ast.walk(CODE[name])) if full.startswith(".")] == []
    graph = {name: modules_imported(name) - {name} for name in CODE}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(CODE)


def test_the_ground_of_the_models_stands_on_itself():
    for name in GROUND:
        assert {module for module in modules_imported(name) if module in FLOOR["models"]} <= GROUND, name


def test_systems_stand_on_the_ground_and_on_what_is_theirs():
    for name in FLOOR["models"]:
        if system := system_of(name):
            owners = {system} | STANDS_ON.get(system, set())
            imported = {module for module in modules_imported(name) if module in FLOOR["models"]}
            assert {module for module in imported - GROUND if system_of(module) not in owners} == set(), name


def test_only_the_table_knows_the_systems():
    for name in CODE:
        if not system_of(name) and name != "models.systems":
            assert {module for module in modules_imported(name) if system_of(module)} == set(), name


def test_no_branch_on_a_systems_name():
    named = [
        (name, node.value)
        for name, tree in CODE.items()
        if name in SCRIPTS or (name in FLOOR["models"] and not system_of(name) and name != "models.systems")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in SYSTEMS
    ]
    assert [pair for pair in named if pair != (DEFAULT[0].removesuffix(".py"), DEFAULT[1])] == []
    assert len(named) <= 1


def test_no_star_imports():
    assert [name for name in CODE | CHECKS for full in names_imported(ast.walk((CODE | CHECKS)[name])) if full.endswith(".*")] == []


def test_no_bare_except():
    caught = [
        (name, node) for name, tree in (CODE | CHECKS).items() for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)
    ]
    assert [where(name, node) for name, node in caught if node.type is None] == []


def test_nothing_is_unpickled():
    """No module that executes what it loads, no `eval` or `exec`, no `torch.load` without ``weights_only=True``."""
    forbidden = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    for name, tree in CODE.items():
        roots = {full.split(".")[0] for full in names_imported(ast.walk(tree))}
        assert roots & forbidden <= ({"pickle"} if name in UNPICKLERS else set()), name
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert not executes(node), where(name, node)


def executes(call: ast.Call) -> bool:
    """Tell whether a call may execute what it is given."""
    options = {option.arg: ast.unparse(option.value) for option in call.keywords}
    function = ast.unparse(call.func)
    if function == "torch.load":
        return options.get("weights_only") != "True"
    return function in ("eval", "exec", "pickle.load", "pickle.loads") or options.get("allow_pickle") == "True"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path)", False),
        ("pickle.loads(data)", True),
        ("model.eval()", False),
        ("eval(text)", True),
    ],
)
def test_what_executes(code, expected):
    assert executes(ast.parse(code).body[0].value) == expected


def test_what_is_public_says_what_it_does():
    for name, tree in CODE.items():
        if tree.body:
            assert ast.get_docstring(tree), name
        assert [where(name, node) for node in public(tree) if not ast.get_docstring(node)] == []


def public(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield public classes and functions of a module, with the public methods of those classes."""
    for node in scope.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_files_and_functions_can_be_held_in_view():
    paths = {name: ROOT / Path(*name.split(".")).with_suffix(".py") for name in CODE | CHECKS}
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in paths.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}
    functions = [(name, node) for name, tree in (CODE | CHECKS).items() for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    assert [where(name, node) for name, node in functions if node.end_lineno - node.lineno >= LONGEST_FUNCTION] == []


def test_heavy_packages_are_imported_where_they_are_used():
    for name, tree in CODE.items():
        imported = {full for full in names_imported(tree.body) if full.split(".")[0] in HEAVY or full.startswith("scipy.signal")}
        assert imported == set(), name


HELP = """
import runpy, sys, time
sys.argv = [sys.argv[1], "--help"]
sys.path.insert(0, "")
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print(time.process_time(), "torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("script", ["lt_train.py", "lt_analyze.py", "lt_midi.py", "lt_play.py"])
def test_help_is_quick(script):
    if not (ROOT / script).exists():
        pytest.skip(f"{script} does not exist yet")
    result = subprocess.run([sys.executable, "-c", HELP, script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: ")
    seconds, torch = result.stderr.split()
    assert torch == "False", "--help imports torch"
    assert float(seconds) < 2.0  # of processor time
