"""Layout of the repository: folders in layers, no import cycle, small folders and files, mirrored by the tests."""

import ast
import collections
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from setuptools import find_packages

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / 'tvn_mmaction'
SOURCE_ROOTS = [REPOSITORY / name for name in ('tvn_mmaction', 'benchmarks', 'tools')]
MAX_FILES, MAX_LINES = 15, 400
# From the bottom up: a folder imports from the folders before it.
LAYERS = (
    *('version', 'utils', 'compat', 'models', 'datasets', 'config', 'evaluation', 'checks', 'engine', 'deploy'),
    *('apis', 'benchmark', 'early_exit', 'experiments', 'features', 'frame_selection', '__main__'),
)
UPWARD_IMPORTS = {
    ('models.recognizers.distilled_recognizer', 'deploy.teachers'),
}


def module_name(file: Path) -> str:
    """Return the name of a module relative to the package, '' for the package itself."""
    return '.'.join(file.relative_to(PACKAGE).with_suffix('').parts).removesuffix('__init__').rstrip('.')


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob('*.py'))}


def statements(node: ast.AST, late: bool) -> Iterator[ast.AST]:
    """Yield all nodes below a node; without late ones, only those that run while the module is imported."""
    for child in ast.iter_child_nodes(node):
        is_typing = isinstance(child, ast.If) and ast.unparse(child.test) == 'TYPE_CHECKING'
        if late or not (is_typing or isinstance(child, ast.FunctionDef)):
            yield child
            yield from statements(child, late)


def imported_modules(name: str, late: bool) -> Iterator[str]:
    """Yield the modules of the package that a module imports; late ones are imported by functions."""
    file = MODULES[name]
    package = file.relative_to(PACKAGE).parent.parts
    for node in statements(ast.parse(file.read_text()), late):
        if isinstance(node, ast.Import):
            paths = [alias.name.split('.') for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = ['tvn_mmaction', *package][: len(package) + 2 - node.level] if node.level else []
            base = [*parents, *(node.module.split('.') if node.module else ())]
            paths = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for top, *path in paths:
            if top == PACKAGE.name:
                target = '.'.join(path)
                yield target if target in MODULES else '.'.join(path[:-1])


IMPORTS = {name: set(imported_modules(name, late=True)) - {name} for name in MODULES}


def folders(*roots: Path) -> list[Path]:
    """Return the folders that hold sources."""
    return sorted({file.parent for root in roots for file in root.rglob('*.py')})


def modules_in(folder: Path) -> list[str]:
    return [file.name for file in folder.glob('*.py') if file.name != '__init__.py']


def test_every_import_names_a_module():
    assert sum(map(len, IMPORTS.values())) > 300
    assert all(target in MODULES for targets in IMPORTS.values() for target in targets)


def test_every_import_of_scripts_and_benchmarks_names_a_module():
    """Most of them are imported by functions, or run for hours, so that no other test may reach them."""
    missing = [
        f'{file.relative_to(REPOSITORY)} imports {node.module}'
        for root in SOURCE_ROOTS[1:]
        for file in root.rglob('*.py')
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith(f'{PACKAGE.name}.')
        if node.module.removeprefix(f'{PACKAGE.name}.') not in MODULES
    ]
    assert not missing


def ancestors(name: str) -> set[str]:
    """Return the packages that a module lies in."""
    parts = name.split('.')
    return {'.'.join(parts[:length]) for length in range(len(parts))}


def test_no_import_cycle():
    """An import of a module imports the packages that it lies in, too."""
    graph = {}
    for name in MODULES:
        targets = set(imported_modules(name, late=False))
        packages = {package for target in targets for package in ancestors(target)} - ancestors(name)
        graph[name] = (targets | packages) - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(' imports '.join(reversed(error.args[1])))


def test_folders_import_from_lower_layers():
    upward = set()
    for name, targets in IMPORTS.items():
        for target in targets - {''}:
            if name and LAYERS.index(target.partition('.')[0]) > LAYERS.index(name.partition('.')[0]):
                upward.add((name, target))
    assert upward == UPWARD_IMPORTS
    assert len(UPWARD_IMPORTS) <= 4


@pytest.mark.parametrize('root', SOURCE_ROOTS, ids=lambda root: root.name)
def test_folders_and_files_are_small(root):
    crowded = {str(folder): count for folder in folders(root) if (count := len(modules_in(folder))) > MAX_FILES}
    assert not crowded
    lines = {str(file): len(file.read_text().splitlines()) for file in root.rglob('*.py')}
    assert not {file: count for file, count in lines.items() if count > MAX_LINES}


def test_file_names_differ_between_neighbouring_folders():
    neighbours = collections.defaultdict(list)
    for folder in folders(*SOURCE_ROOTS):
        neighbours[folder.parent] += modules_in(folder)
    repeated = {str(parent): [name for name in names if names.count(name) > 1] for parent, names in neighbours.items()}
    assert not {parent: names for parent, names in repeated.items() if names}


def test_tests_mirror_the_sources():
    """`tests/reliability` tests the whole package under faults."""
    roots = {'benchmarks': REPOSITORY, 'tools': REPOSITORY, 'configs': REPOSITORY, 'reliability': REPOSITORY / 'tests'}
    missing = []
    for folder in folders(REPOSITORY / 'tests'):
        path = folder.relative_to(REPOSITORY / 'tests')
        if path.parts and not (roots.get(path.parts[0], PACKAGE) / path).is_dir():
            missing.append(str(path))
    assert not missing


def test_wheel_has_the_package_only():
    (include,) = (
        ast.literal_eval(keyword.value)
        for node in ast.walk(ast.parse((REPOSITORY / 'setup.py').read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'find_packages'
        for keyword in node.keywords
    )
    packages = set(find_packages(str(REPOSITORY), include=include))
    assert packages == {'.'.join(folder.relative_to(REPOSITORY).parts) for folder in folders(PACKAGE)}
