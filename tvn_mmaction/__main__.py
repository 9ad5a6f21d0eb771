"""`python -m tvn_mmaction`: a report on whether training can run on this machine, with remedies."""

import importlib
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from . import compat
from .datasets import demo
from .utils.errors import run_tool
from .version import __version__

# By name, the module with the version.
PACKAGES = {
    'torch': 'torch',
    'mmengine': 'mmengine',
    'mmcv': 'mmcv',
    'mmaction2': 'mmaction',
    'numpy': 'numpy',
    'opencv': 'cv2',
    'decord': 'decord',
    'pyav': 'av',
}


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    result: str
    remedy: str = ''  # empty if nothing is wrong
    blocks: bool = False  # training cannot run before the remedy


def package_versions() -> dict[str, str]:
    """Return the versions of Python, this package and its dependencies, or why one cannot be imported."""
    versions = {'python': platform.python_version(), 'tvn_mmaction': __version__}
    for name, module in PACKAGES.items():
        try:
            versions[name] = importlib.import_module(module).__version__
        except ModuleNotFoundError:
            versions[name] = 'not installed'
        except Exception as error:  # a broken binary: OSError, ImportError, RuntimeError...
            versions[name] = f'broken: {error}'
    return versions


def check_machine() -> Iterator[Check]:
    """Check everything that training needs."""
    yield check_config_inheritance()
    yield from check_decoders()
    yield check_gpu()
    yield Check('CPU threads', f'{torch.get_num_threads()} used by torch, of {os.cpu_count()}')


def check_config_inheritance() -> Check:
    """Check that `_base_ = 'mmaction::...'` resolves: mmengine's utils/package_utils.py imports pkg_resources."""
    name = "_base_ = 'mmaction::...'"
    if importlib.util.find_spec('pkg_resources'):
        return Check(name, 'works')
    return Check(name, 'needs pkg_resources, gone in setuptools 82', "pip install 'setuptools<82'", blocks=True)


def check_decoders() -> Iterator[Check]:
    """Write a short video in UCF50's codec, XVID in AVI, and decode it with each decoder; one must work."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'video.avi'
        write_video(path)
        faults = {name: decoding_fault(decode, path) for name, decode in DECODERS.items()}
    for name, fault in faults.items():
        remedy = f'pip install --force-reinstall --no-deps {name}' if fault else ''
        if fault and name == 'decord':  # the default of the configs
            remedy += '; if there is no wheel: --cfg-options decoder=OpenCV'
        yield Check(f'decode with {name}', fault or 'works', remedy, blocks=all(faults.values()))


def check_gpu() -> Check:
    """Multiply two matrices on the GPU, if there is one; otherwise training runs on the CPU."""
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


GREY_LEVELS = np.arange(0, 240, 30)  # of one frame each


def write_video(path: Path) -> None:
    """Write one grey frame of 64 x 48 pixels per level of `GREY_LEVELS`."""
    demo.write_video(path, np.stack([np.full((48, 64, 3), level, np.uint8) for level in GREY_LEVELS]))


def decode_with_decord(path: Path) -> np.ndarray:
    """Return all frames (T, H, W, 3)."""
    import decord

    reader = decord.VideoReader(str(path))
    return reader.get_batch(range(len(reader))).asnumpy()


def decode_with_opencv(path: Path) -> np.ndarray:
    """Return all frames (T, H, W, 3)."""
    capture = cv2.VideoCapture(str(path))
    return np.stack([frame for _, frame in iter(capture.read, (False, None))])


def decode_with_pyav(path: Path) -> np.ndarray:
    """Return all frames (T, H, W, 3)."""
    import av

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)])


# By the name that pip installs; PyAV is optional.
DECODERS: dict[str, Callable[[Path], np.ndarray]] = {'decord': decode_with_decord, 'opencv-python': decode_with_opencv}
if importlib.util.find_spec('av'):
    DECODERS['av'] = decode_with_pyav


def decoding_fault(decode: Callable[[Path], np.ndarray], path: Path) -> str:
    """Return the fault of the frames that `decode` reads from the video of `write_video`, '' if they are right."""
    try:
        frames = decode(path)
    except ModuleNotFoundError:
        return 'not installed'
    except Exception as error:  # decoders raise exceptions of their own
        return f'{type(error).__name__}: {error}'
    expected = (len(GREY_LEVELS), 48, 64, 3)
    if frames.shape != expected:
        return f'read frames of shape {frames.shape}, but {expected} were written'
    if np.abs(frames.mean(axis=(1, 2, 3)) - GREY_LEVELS).max() > 10:
        return 'read other colours than were written'
    return ''


def main() -> int:
    """Print the report; return 0 when training can run and 1 otherwise."""
    print_table('Versions', package_versions().items())
    patched = compat.apply()
    print_table(
        'Upstream faults',
        [
            (patch.name, 'patched' if patch in patched else 'not present', patch.source, patch.symptom)
            for patch in compat.PATCHES
        ],
    )
    checks = list(check_machine())
    print_table('This machine', [(check.name, check.result) for check in checks])
    print_table('Remedies', [(check.name, check.remedy) for check in checks if check.remedy])
    blocked = any(check.blocks for check in checks)
    print('Training cannot run before these remedies.' if blocked else 'Training can run.')
    return int(blocked)


def print_table(title: str, rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of text in aligned columns under a title; nothing if there are no rows."""
    rows = list(rows)
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for row in rows:
        print('  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == '__main__':
    run_tool(main)
