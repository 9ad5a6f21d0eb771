"""A small experiment for the tests: real videos, a real config, a network of a few thousand parameters."""

import contextlib
import io
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mmengine.config import Config

from tvn_mmaction.datasets.preparation.builder import build_data_root

from .videos import write_video

REPOSITORY = Path(__file__).parents[1]
TINY_CONFIG = """\
# TVN-1's layers with few channels: 2 frames of 32 x 32 pixels.
_base_ = '{repository}/configs/tvn1_ucf50.py'

arch = dict(
    frames=2, frame_stride=1, image_size=32,
    blocks=[dict(spatial=('conv', 4, 2), temporal=('maxpool', 2, 2), filters=4, expand=2, context_gate=True)])
data_root = '{data_root}'
split = dict(protocol='ucf101like', fold=0, seed=0)
clip = dict(frames=2, size=32, stride=1)
model = dict(
    backbone=dict(_delete_=True, type='TinyVideoNet', arch=arch, num_segments=2), cls_head=dict(in_channels=8))
sampling = dict(type='SampleFrames', clip_len=1, frame_interval='${{clip.stride}}', num_clips='${{clip.frames}}')
common_steps = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=('${{clip.size}}', '${{clip.size}}'), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_pipeline = [dict(type='DecordInit'), sampling, *common_steps]
train_dataloader = dict(**loader, dataset=dict(pipeline=train_pipeline))
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *common_steps]
val_dataloader = dict(**loader, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2)
"""

HEAVY = Config.fromfile(REPOSITORY / 'configs/recipes/tvn1_heavy_ucf50.py')
PARTS = {name: HEAVY[name].to_dict() for name in ('augmentation', 'blending')}
# More lines for it, with all augmentation and blending of configs/recipes/ and averaged weights.
STRONG = f"""
augmentation = {PARTS['augmentation']}
clip_augmentation = dict(type='Augmentation', order=['span'])
frame_augmentation = dict(type='Augmentation', order=['crop', 'flip', 'colour', 'rand_augment', 'erasing'])
decode, *last_steps = common_steps
train_dataloader['dataset']['pipeline'] = [
    dict(type='DecordInit'), clip_augmentation, sampling, decode, frame_augmentation, *last_steps]
model['cls_head'].update(label_smooth_eps=0.1)
model['data_preprocessor'] = dict(blending={PARTS['blending']})
default_hooks = dict(
    ema=dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.2, gamma=2, update_buffers=True))
"""


def write_data(folder: Path, groups: Sequence[int] = (1, 2, 8, 9)) -> Path:
    """Write videos of 3 classes and some groups (1 to 7 are tested) with a manifest and return the data root."""
    for label, class_name in enumerate(('Biking', 'Diving', 'Fencing')):
        for group in groups:
            path = folder / 'videos' / class_name / f'v_{class_name}_g{group:02d}_c01.avi'
            write_video(path, frame_count=8 + 10 * label + group)
    build_data_root(folder / 'videos', folder / 'lists', 'ucf101like')
    return folder / 'lists'


def break_clip(folder: Path, name: str) -> None:
    """Truncate a video that `write_data` wrote."""
    (path,) = (folder / 'videos').rglob(name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 8])


def write_config(folder: Path, data_root: Path, more: str = '') -> Path:
    """Write the small config, with more lines at its end, and return its path."""
    config = folder / 'tiny.py'
    config.write_text(TINY_CONFIG.format(repository=REPOSITORY, data_root=data_root) + more)
    return config


def call_tool(tool: Path, *arguments: str) -> int | None:
    """Call the `main` of a tool in this process and return its exit code; errors are raised."""
    with _command_line(tool, *arguments):
        functions = runpy.run_path(str(tool))
        return functions['main'](functions['parse_args']())


def exit_code(tool: Path, *arguments: str) -> int:
    """Run a tool as a script, but in this process, and return its exit code; errors are printed as on a terminal."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _command_line(tool, *arguments), pytest.raises(SystemExit) as exited:
            runpy.run_path(str(tool), run_name='__main__')
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return exited.value.code


@contextlib.contextmanager
def _command_line(tool: Path, *arguments: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tool.parent)
        patch.setattr(sys, 'argv', [str(tool), *arguments])
        yield


def run_tool(tool: Path, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess:
    """Run a tool as a script in a folder, but in this process, and return its exit code and output.

    A process of its own would first import PyTorch and MMAction2, which takes longer than most small experiments.
    """
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        code = exit_code(tool, *map(str, arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def run_process(
    *arguments: str | Path, folder: Path, timeout: float = 170, **variables: str
) -> subprocess.CompletedProcess:
    """Run a Python program in a folder, in a process of its own with one thread and more environment variables."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {'OMP_NUM_THREADS': '1', 'COLUMNS': '200', **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
