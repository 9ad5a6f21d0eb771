"""Videos with few salient frames, which show the class, and configs of a small selector and recognizer."""

from pathlib import Path

import numpy as np

from tests.small_experiment import REPOSITORY
from tests.videos import write_pictures
from tvn_mmaction.datasets.preparation.builder import build_data_root

COLOURS = {'Biking': (255, 0, 0), 'Diving': (0, 255, 0), 'Fencing': (0, 0, 255)}
FRAMES = 8  # of a video
SALIENT = 2  # frames that show the class
SELECTOR = """\
_base_ = '{repository}/configs/frame_selection/frame_selector_ucf50.py'
clip = dict(frames=8, size=32)
model = dict(backbone=dict(widen_factor=0.25, out_indices=(1,)), cls_head=dict(in_channels=8))
optim_wrapper = dict(optimizer=dict(lr=0.01))
"""
RECOGNIZER = """\
_base_ = '{repository}/configs/tvn1_ucf50.py'
clip = dict(frames=2, size=32)
arch = dict(
    frames=2, frame_stride=1, image_size=32,
    blocks=[dict(spatial=('conv', 4, 2), temporal=('maxpool', 2, 2), filters=4, expand=2, context_gate=True)])
model = dict(
    backbone=dict(_delete_=True, type='TinyVideoNet', arch=arch, num_segments=2), cls_head=dict(in_channels=8))
"""
SMALL_DATA = """\
split = dict(protocol='ucf101like', fold=0, seed=0)
sampling = dict(type='{sampling}', clip_len=1, num_clips='${{clip.frames}}')
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=('${{clip.size}}', '${{clip.size}}'), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
loader = dict(batch_size=3, num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, dataset=dict(**split, pipeline=[dict(type='DecordInit'), sampling, *rest]))
val_dataloader = test_dataloader = dict(
    **loader, dataset=dict(**split, pipeline=[dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]))
default_hooks = dict(checkpoint=dict(interval={epochs}))
train_cfg = dict(max_epochs={epochs})
"""


def salient_frames(name: str) -> list[int]:
    """Return the frames of a planted video that show its class."""
    return sorted(np.random.default_rng([*name.encode()]).choice(FRAMES, SALIENT, replace=False).tolist())


def write_planted(folder: Path) -> Path:
    """Write 24 videos of 3 classes, describe them and return the data root."""
    for class_name, colour in COLOURS.items():
        for group in (1, 2, 8, 9, 10, 11, 12, 13):
            name = f'v_{class_name}_g{group:02d}_c01'
            draws = np.random.default_rng([*name.encode(), 1])
            frames = [np.full((32, 32, 3), draws.integers(60, 200), np.uint8) for _ in range(FRAMES)]
            for index in salient_frames(name):
                frames[index][:] = colour
            write_pictures(folder / 'videos' / class_name / f'{name}.avi', frames)
    build_data_root(folder / 'videos', folder / 'lists', 'ucf101like')
    return folder / 'lists'


def write_selector(folder: Path, epochs: int) -> Path:
    """Write the config of a small selector of 8 candidates."""
    return _write_config(folder / 'selector.py', SELECTOR, epochs)


def write_recognizer(folder: Path, sampling: str = 'SampleFrames') -> Path:
    """Write the config of a small recognizer of 2 frames."""
    return _write_config(folder / 'recognizer.py', RECOGNIZER, 1, sampling)


def _write_config(file: Path, model: str, epochs: int, sampling: str = 'SampleFrames') -> Path:
    if sampling == 'SelectedFrames':
        model += "selection = 'none.json'\n"
        sampling += "', selection='none.json"
    file.write_text((model + SMALL_DATA).format(repository=REPOSITORY, epochs=epochs, sampling=sampling))
    return file
