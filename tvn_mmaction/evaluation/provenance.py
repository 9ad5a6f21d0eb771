"""Provenance of results: the training record stored in checkpoints, the test protocol, and digests of configs."""

import copy
import inspect
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..config.dependencies import foreign_training, full_pipeline, pretraining_seconds, teachers_of, upstream_models
from ..config.loaders import all_datasets, dataset_of
from ..config.runner_types import name_runner_types
from ..datasets.clip_lists import clips_of, list_digest
from ..datasets.leakage import duplicates, same_group
from ..datasets.protocols import PROTOCOLS
from ..datasets.transforms.pipeline_inspection import CROPS, frames_per_image
from ..utils.checkpoints import meta_of
from ..utils.io import sha256_of
from .result import Protocol

# Parts of a config that decide a run: the arguments of the runner, without locations, and a few variables. Others only
# name parts of pipelines and model, and may have other names.
DECIDING = {
    *(set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg', 'work_dir', 'resume', 'launcher'}),
    *('find_unused_parameters', 'broken_clips', 'pretraining', 'pretrained', 'pretrained_weights', 'teachers_sha256'),
}
# Arguments of steps with the location of files, by type of step; the digests of their contents are other arguments.
STEP_LOCATIONS = {'LoadFeatures': 'folder', 'SelectedFrames': 'selection'}
INITIAL_WEIGHTS = ('init_cfg', 'pretrained')  # arguments of models that initialise or download weights
# By optimizer wrapper; float32 for all others.
TRAINING_PRECISIONS = {'AmpOptimWrapper': 'mixed', 'BFloat16OptimWrapper': 'mixed, bfloat16'}
PACKAGES = ('tvn_mmaction', 'mmaction2', 'mmengine', 'mmcv-lite', 'torch', 'numpy', 'opencv-python', 'av', 'decord')


def training_record(config: Config, train_dataset: BaseDataset) -> dict[str, Any]:
    """Return the record of a training for its checkpoints, as plain data.

    Keys: `config_sha256`, `options` (of the command line), `train_pipeline`, `batch_size` (over all processes),
    `precision`, `initial_weights`, `pretraining_seconds` and `train_list_sha256`.
    """
    return {
        'config_sha256': config_digest(config),
        'options': _plain(config.get('options', {})),
        'train_pipeline': full_pipeline(_pipeline(config, 'train_dataloader')),
        'batch_size': config.train_dataloader.batch_size * get_world_size(),
        'precision': TRAINING_PRECISIONS.get(config.optim_wrapper.get('type'), 'float32'),
        'initial_weights': initial_weights(config),
        'pretraining_seconds': pretraining_seconds(config),
        'train_list_sha256': list_digest(clips_of(train_dataset)),
    }


def protocol(
    config: Config,
    meta: dict[str, Any],
    train_dataset: BaseDataset | None,
    test_dataset: BaseDataset,
    classes: int,
) -> Protocol:
    """Return the protocol of testing a checkpoint with a config.

    Facts about the training come from the checkpoint's `meta`. The split and its leakage are known only if both the
    checkpoint and its upstream models (feature extractor, frame selector) were trained on the clips of `train_dataset`,
    the train split of the config.
    """
    trained = meta.get('training', {})
    train, test = clips_of(train_dataset), clips_of(test_dataset)
    pipeline = _pipeline(config, 'test_dataloader')
    digest = list_digest(train)
    known = digest is not None and trained.get('train_list_sha256') == digest
    known = known and not foreign_training(pipeline, digest)
    own_split = test_dataset.metainfo.get('split', {})
    split = own_split if known else {}
    # If every clip is its own group, the source videos are unknown.
    grouped = known and any(clip.group not in ('', clip.file_name) for clip in (*train, *test))
    return Protocol(
        data=Path(dataset_of(config, 'test_dataloader').get('data_root') or '.').resolve().name,
        split=split.get('protocol'),
        split_fold=split.get('fold'),
        split_seed=split['seed'] if split and PROTOCOLS[split['protocol']].seeded else None,
        train_clips=len(train) if known else None,
        test_clips=len(test_dataset),
        classes=classes,
        test_clips_with_sibling_in_train=len(same_group(test, train)) if grouped else None,
        test_clips_with_copy_in_train=len(duplicates(test, train)) if known else None,
        train_list_sha256=trained.get('train_list_sha256'),
        test_list_sha256=list_digest(test),
        train_pipeline=trained.get('train_pipeline'),
        test_pipeline=full_pipeline(pipeline),
        views=views(config),
        average_clips=config.model.get('cls_head', {}).get('average_clips'),
        epochs=meta.get('epoch'),
        batch_size=trained.get('batch_size'),
        precision=trained.get('precision'),
        training_seed=meta.get('seed'),
        initial_weights=trained.get('initial_weights'),
        subset=own_split.get('subset', 'test'),
    )


def unknown_split(config: Config, stated: Protocol, train_dataset: BaseDataset | None) -> str:
    """Return why a protocol of `protocol` states no split."""
    if stated.train_clips is not None:
        return f'{dataset_of(config, "test_dataloader").type} has no split, which UCF50Dataset has'
    digest = list_digest(clips_of(train_dataset))
    if stated.train_list_sha256 is None:
        return 'the checkpoint does not record the clips that it was trained on'
    if digest is None:
        return 'the clips of train_dataloader are not available'
    if stated.train_list_sha256 == digest:
        foreign = foreign_training(_pipeline(config, 'test_dataloader'), digest)
        return f'{foreign} come from a network that was trained on other clips'
    return 'these are not the lists that the checkpoint was trained on'


def environment(config: Config, device: str | None = None) -> dict[str, Any]:
    """Return hardware and versions of a test; by default the GPU if there is one."""
    on_gpu = torch.cuda.is_available() if device is None else device == 'cuda'
    return {
        'device': torch.cuda.get_device_name() if on_gpu else processor_name(),
        'threads': torch.get_num_threads(),
        'processes': get_world_size(),
        'decoder': config.get('decoder'),
        'python': platform.python_version(),
        **installed_versions(PACKAGES),
    }


def processor_name() -> str:
    """Return the model name of the processor, or its architecture if unknown."""
    cpu_info = Path('/proc/cpuinfo')
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    return next((line.partition(': ')[2] for line in lines if line.startswith('model name')), platform.machine())


def installed_versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Return the versions of packages; None for those that are not installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            found[name] = None
    return found


def config_digest(config: Config) -> str:
    """Return the SHA-256 of a config, independent of folders."""
    return sha256_of(json.dumps(config_content(config), sort_keys=True))


def config_content(config: Config) -> dict[str, Any]:
    """Return the parts of a config that decide its run as plain data, without folders and with the runner's types."""
    named = copy.deepcopy(config)
    name_runner_types(named)
    content = {name: value for name, value in _plain(named.to_dict()).items() if name in DECIDING}
    if config.get('resume') or not config.get('load_from'):
        content.pop('load_from', None)  # when resuming, the latest checkpoint instead of the initial weights
    for dataset in all_datasets(content):
        dataset.pop('data_root', None)
    if content.get('teachers_sha256'):
        content['model'].pop('teachers', None)
    if content.get('pretraining'):
        content['pretraining'].pop('work_dir', None)
        content['pretraining']['config'] = Path(content['pretraining']['config']).name
    _remove_locations(content)
    return content


def _remove_locations(part: Any) -> None:
    """Remove the locations of the files of steps."""
    if isinstance(part, dict):
        part.pop(STEP_LOCATIONS.get(str(part.get('type'))), None)
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _remove_locations(value)


def digests_of_training(config: Config) -> frozenset[str]:
    """Return the digests that a training of this config may have, uninterrupted and resumed."""
    resumed = copy.deepcopy(config)
    resumed.resume, resumed.load_from = True, None
    return frozenset(map(config_digest, (config, resumed)))


def initial_weights(config: Config) -> str:
    """Return the files of initial weights, including those of upstream models, or `'scratch'`.

    A pretraining that is part of the training is listed as such, since it sees the same clips. Existing teachers are
    listed with their own initial weights.
    """
    sources = pretrained_weights(config)
    for teacher in (file for file in teachers_of(config) if file.is_file()):
        sources.append(meta_of(teacher).get('training', {}).get('initial_weights') or str(teacher))
    if config.get('pretraining'):
        sources.append(f'{Path(config.pretraining.config).stem} on the same clips')
    sources += [model.initial_weights for model in upstream_models(_pipeline(config, 'train_dataloader'))]
    return ', '.join(source for source in sources if source != 'scratch') or 'scratch'


def pretrained_weights(config: Config) -> list[str]:
    """Return the files or URLs of the weights that a config loads before its training."""
    backbone = config.model.get('backbone', {})
    sources = [None if config.get('resume') else config.get('load_from'), backbone.get('pretrained')]
    for part in (config.model, backbone):
        init_cfg = part.get('init_cfg') or []
        sources += [entry.get('checkpoint') for entry in (init_cfg if isinstance(init_cfg, list) else [init_cfg])]
    return [str(source) for source in sources if source]


def views(config: Config) -> int:
    """Return the number of views (clips × crops) per video whose scores the test averages."""
    pipeline = _pipeline(config, 'test_dataloader')
    sampling = next((step for step in pipeline if 'clip_len' in step), {'clip_len': 1})
    frames, clips = sampling['clip_len'], sampling.get('num_clips', 1)
    if config.model.type.endswith('Recognizer2D'):
        # The frames of all clips are one view, unless the network takes fewer at once.
        images = frames * clips // frames_per_image(pipeline)
        clips = images // (config.model.backbone.get('num_segments') or images)
    for step in pipeline:
        clips *= CROPS.get(step['type'], 1)
    return clips * (2 if sampling.get('twice_sample') else 1)


def _plain(value: Any) -> Any:
    """Return a value of a config as JSON data, so that checkpoints contain plain data only."""
    return json.loads(json.dumps(value, default=str))


def _pipeline(config: Config, loader: str) -> list[dict]:
    return _plain(dataset_of(config, loader).get('pipeline', []))
