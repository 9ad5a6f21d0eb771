"""What a record says of a run: how it was trained, kept in the checkpoint, and under which protocol it was tested."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size

from ..evaluation import Protocol
from ..evaluation.result import sha256_of
from .config import datasets

WHERE_NOT_WHAT = ('work_dir', 'data_root', 'resume', 'launcher', 'options')  # of a config, for its digest
CROPS = {'ThreeCrop': 3, 'TenCrop': 10}
PACKAGES = ('tvn_mmaction', 'mmaction2', 'mmengine', 'mmcv-lite', 'torch', 'numpy', 'opencv-python', 'decord')


def training_record(config: Config) -> dict[str, Any]:
    """Return what a checkpoint should say of its training, as plain data.

    Keys: `config_sha256`, `options` (of the command line), `train_pipeline`, `batch_size` (over all processes),
    `precision`, `initial_weights` and `train_list_sha256`.
    """
    return {
        'config_sha256': config_digest(config),
        'options': _plain(config.get('options', {})),
        'train_pipeline': _pipeline(config, 'train_dataloader'),
        'batch_size': config.train_dataloader.batch_size * get_world_size(),
        'precision': 'mixed' if config.optim_wrapper.get('type') == 'AmpOptimWrapper' else 'float32',
        'initial_weights': initial_weights(config),
        'train_list_sha256': _list_digest(config, 'train_dataloader'),
    }


def protocol(config: Config, meta: dict[str, Any], test_clips: int, classes: int) -> Protocol:
    """Return the protocol of testing a checkpoint with a config.

    What is known of the training comes from the checkpoint's `meta`. The split is stated only where the lists beside
    the test list are those that the checkpoint was trained on, and all of it was tested; otherwise nobody knows whether
    it leaks.
    """
    trained = meta.get('training', {})
    summary_file = Path(_dataset(config, 'test_dataloader').get('data_root') or '.', 'summary.json')
    summary = json.loads(summary_file.read_text(encoding='utf-8')) if summary_file.is_file() else {}
    same_training = trained.get('train_list_sha256') == _list_digest(config, 'train_dataloader')
    if not same_training or summary.get('test_clips') != test_clips:
        summary = {}
    return Protocol(
        data=summary_file.parent.resolve().name,
        split=summary.get('protocol'),
        split_seed=summary.get('seed'),
        test_ratio=summary.get('test_ratio'),
        train_clips=summary.get('train_clips'),
        test_clips=test_clips,
        classes=classes,
        test_clips_with_sibling_in_train=summary.get('test_clips_with_sibling_in_train', {}).get('count'),
        train_list_sha256=trained.get('train_list_sha256'),
        test_list_sha256=_list_digest(config, 'test_dataloader'),
        train_pipeline=trained.get('train_pipeline'),
        test_pipeline=_pipeline(config, 'test_dataloader'),
        views=views(config),
        average_clips=config.model.get('cls_head', {}).get('average_clips'),
        epochs=meta.get('epoch'),
        batch_size=trained.get('batch_size'),
        precision=trained.get('precision'),
        training_seed=meta.get('seed'),
        initial_weights=trained.get('initial_weights'),
    )


def environment(config: Config) -> dict[str, Any]:
    """Return what the test ran on."""
    cpu_info = Path('/proc/cpuinfo')
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    processor = next((line.partition(': ')[2] for line in lines if line.startswith('model name')), platform.machine())
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except ModuleNotFoundError:
            installed[name] = None
    return {
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else processor,
        'threads': torch.get_num_threads(),
        'processes': get_world_size(),
        'decoder': config.get('decoder'),
        'python': platform.python_version(),
        **installed,
    }


def config_digest(config: Config) -> str:
    """Return the SHA-256 of what a config says, whatever the folders it works in."""
    content = config.to_dict()
    if config.get('resume') or not config.get('load_from'):
        content.pop('load_from', None)  # when resuming it says where the training had got to, not where it started
    for key in WHERE_NOT_WHAT:
        content.pop(key, None)
    for dataset in datasets(content):
        dataset.pop('data_root', None)
    return sha256_of(json.dumps(content, sort_keys=True, default=str))


def initial_weights(config: Config) -> str:
    """Return the files that the weights came from before the training, or `'scratch'`."""
    backbone = config.model.get('backbone', {})
    sources = [None if config.get('resume') else config.get('load_from'), backbone.get('pretrained')]
    for part in (config.model, backbone):
        init_cfg = part.get('init_cfg') or []
        sources += [entry.get('checkpoint') for entry in (init_cfg if isinstance(init_cfg, list) else [init_cfg])]
    return ', '.join(str(source) for source in sources if source) or 'scratch'


def views(config: Config) -> int:
    """Return the clips times crops of a video whose scores the test averages."""
    pipeline = _pipeline(config, 'test_dataloader')
    sampling = next((step for step in pipeline if 'clip_len' in step), {'clip_len': 1})
    frames, clips = sampling['clip_len'], sampling.get('num_clips', 1)
    if config.model.type == 'Recognizer2D':
        # The frames of all clips are one view, unless the network takes fewer at a time.
        clips = frames * clips // (config.model.backbone.get('num_segments') or frames * clips)
    for step in pipeline:
        clips *= CROPS.get(step['type'], 1)
    return clips * (2 if sampling.get('twice_sample') else 1)


def _plain(value: Any) -> Any:
    """Return what JSON would make of a config's value, so that a checkpoint holds nothing but plain data."""
    return json.loads(json.dumps(value, default=str))


def _dataset(config: Config, loader: str) -> Config:
    """Return the loader's data set, inside of all wrappers."""
    return list(datasets(config, (loader,)))[-1]


def _pipeline(config: Config, loader: str) -> list[dict]:
    return _plain(_dataset(config, loader).get('pipeline', []))


def _list_digest(config: Config, loader: str) -> str | None:
    """Return the SHA-256 of a list's classes, clips and labels, wherever the videos lie; None if there is no list."""
    dataset = _dataset(config, loader)
    path = Path(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    if not path.is_file():
        return None
    lines = path.read_text(encoding='utf-8').split('\n')
    return sha256_of('\n'.join('/'.join(line.split('/')[-2:]) for line in lines))
