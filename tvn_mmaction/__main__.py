"""`python -m tvn_mmaction`: a report on whether training can run on this machine, with remedies.

Imports only the standard library until the other packages are known to work.
"""

import contextlib
import functools
import importlib
import importlib.util
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .utils.errors import run_tool, shorten
from .utils.markdown import markdown_table
from .version import __version__

# By the name that pip installs, the module; decord is optional.
MODULES = {
    'numpy': 'numpy',
    'opencv-python': 'cv2',
    'av': 'av',
    'torch': 'torch',
    'mmengine': 'mmengine',
    'mmcv-lite': 'mmcv',
    'mmaction2': 'mmaction',
    **{name: name for name in ('filelock', 'jinja2', 'matplotlib', 'plotly', 'rich', 'safetensors', 'scipy', 'decord')},
}
OPTIONAL = ('decord',)
OPENCV_BUILDS = (
    *('opencv-python', 'opencv-contrib-python'),
    *('opencv-python-headless', 'opencv-contrib-python-headless'),
)
SYSTEM_LIBRARIES = {'libGL.so.1': 'libgl1', 'libgthread-2.0.so.0': 'libglib2.0-0'}  # with Debian's package


table = functools.partial(markdown_table, aligned=True)


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    result: str
    remedy: str = ''  # empty if nothing is wrong
    blocks: bool = False  # training cannot run before the remedy


def check_packages() -> Iterator[Check]:
    """Import every package that training needs."""
    for package, module in MODULES.items():
        try:
            imported = importlib.import_module(module)
            yield Check(package, getattr(imported, '__version__', None) or version(package))
        except ModuleNotFoundError as error:
            remedy = '' if package in OPTIONAL else f'pip install {package}'
            yield Check(package, 'not installed' if error.name == module else shorten(error), remedy, bool(remedy))
        except Exception as error:  # a broken binary: OSError, ImportError, RuntimeError...
            library = re.match(r'(\S+\.so\S*): cannot open shared object file', str(error))
            remedy = f'pip install --force-reinstall --no-deps {package}'
            if library:
                debian = SYSTEM_LIBRARIES.get(library[1])
                remedy = f'apt-get install {debian}' if debian else f'install the system library {library[1]}'
            yield Check(package, f'broken: {shorten(error)}', remedy, package not in OPTIONAL)


def check_opencv_builds() -> Iterator[Check]:
    """Check that all installed builds of OpenCV, which overwrite each other's files, have the same version."""
    builds = {}
    for build in OPENCV_BUILDS:
        with contextlib.suppress(PackageNotFoundError):
            builds[build] = version(build)
    if len(set(builds.values())) > 1:
        oldest = min(builds.values(), key=lambda number: [int(part) for part in number.split('.')])
        same = ' '.join(f'{build}=={oldest}' for build in builds)
        found = ', '.join(f'{build} {number}' for build, number in builds.items())
        yield Check(
            'builds of OpenCV', f'overwrite each other: {found}', f'pip install --force-reinstall --no-deps {same}'
        )


def check_machine() -> Iterator[Check]:
    """Check everything else that training needs."""
    import torch

    yield check_config_inheritance()
    yield check_decoding()
    yield check_gpu()
    yield Check('CPU threads', f'{torch.get_num_threads()} used by torch, of {os.cpu_count()}')


def check_config_inheritance() -> Check:
    """Check that `_base_ = 'mmaction::...'` resolves: mmengine's utils/package_utils.py imports pkg_resources."""
    name = "_base_ = 'mmaction::...'"
    if importlib.util.find_spec('pkg_resources'):
        return Check(name, 'works')
    return Check(name, 'needs pkg_resources, gone in setuptools 82', "pip install 'setuptools<82'", blocks=True)


def check_decoding() -> Check:
    """Write a short video of grey frames in UCF50's codec, XVID in AVI, and read it."""
    import numpy as np

    from .datasets.demo import write_video
    from .datasets.video_reader import VideoReader

    levels = range(0, 240, 30)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'video.avi'
        try:
            write_video(path, np.stack([np.full((48, 64, 3), level, np.uint8) for level in levels]))
            with VideoReader(path) as video:
                found = [frame.pixels.mean().item() for frame in video]
            equal = len(found) == len(levels) and np.allclose(found, levels, atol=10)
            fault = '' if equal else f'reads grey levels {found}, and {list(levels)} were written'
        except Exception as error:  # decoders raise exceptions of their own
            fault = shorten(error)
    return Check(
        'decoding', fault or 'works', 'pip install --force-reinstall --no-deps av' if fault else '', bool(fault)
    )


def check_gpu() -> Check:
    """Multiply two matrices on the GPU, if there is one; otherwise training runs on the CPU."""
    import torch

    if not torch.cuda.is_available():
        if shutil.which('nvidia-smi'):
            remedy = 'install torch for your CUDA version: https://pytorch.org/get-started/locally'
            return Check('GPU', f'not usable by torch {torch.__version__}', remedy)
        return Check('GPU', 'none, training runs on the CPU')
    name = torch.cuda.get_device_name()
    try:
        ones = torch.ones(64, 64, device='cuda')
        (ones @ ones).sum().item()  # the copy back waits for the GPU
    except RuntimeError as error:
        return Check('GPU', f'{name} fails: {error}', 'export CUDA_VISIBLE_DEVICES= trains on the CPU', blocks=True)
    return Check('GPU', f'{name} works')


def main() -> int:
    """Print the report; return 0 when training can run and 1 otherwise."""
    packages = [Check('python', platform.python_version()), Check('tvn_mmaction', __version__), *check_packages()]
    print(table(['package', 'version'], [[check.name, check.result] for check in packages]))
    checks = list(check_opencv_builds())
    if not any(check.blocks for check in packages):
        from . import compat

        patched = compat.apply()
        patches = [
            [patch.name, 'patched' if patch in patched else 'not present', patch.source, patch.symptom]
            for patch in compat.PATCHES
        ]
        print(table(['upstream fault', 'state', 'source', 'symptom'], patches))
        checks += check_machine()
        print(table(['this machine', 'result'], [[check.name, check.result] for check in checks]))
    checks = [check for check in [*packages, *checks] if check.remedy]
    if checks:
        print(table(['fault', 'remedy'], [[check.name, check.remedy] for check in checks]))
    blocked = any(check.blocks for check in checks)
    print('Training cannot run before these remedies.' if blocked else 'Training can run.')
    return int(blocked)


if __name__ == '__main__':
    run_tool(main)
