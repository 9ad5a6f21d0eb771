"""Training and testing as the tools do it: run, measure, record, draw."""

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner.checkpoint import CheckpointLoader, find_latest_checkpoint

from ..console import console
from ..errors import UserError
from ..evaluation import (
    ClipScores,
    Protocol,
    Result,
    Scores,
    accuracies,
    confusion_matrix,
    plot_confusion_matrix,
)
from ..evaluation.result import sha256_of
from .config import datasets
from .runner import TerminalRunner

WHERE_NOT_WHAT = ('work_dir', 'data_root', 'load_from', 'resume', 'launcher')  # of a config, for its digest
CROPS = {'ThreeCrop': 3, 'TenCrop': 10}


def train(config: Config) -> Result | None:
    """Train, test the last weights, and write checkpoint, result and pictures into the work directory.

    Args:
        config: As `read_config` returns it.

    Returns:
        The result; None in all processes but the main one.

    Raises:
        UserError: Data are missing.
    """
    runner = _build_runner(config)
    if config.get('resume') and not config.get('load_from') and not find_latest_checkpoint(config.work_dir):
        console.print(f'no checkpoint in {config.work_dir} to resume from: training from the start', highlight=False)
    runner.train()
    return _test(runner, Path(find_latest_checkpoint(config.work_dir)))


def test(config: Config, checkpoint: str | Path) -> Result | None:
    """Test a checkpoint, and write result and confusion matrix into the work directory.

    Args:
        config: As `read_config` returns it.
        checkpoint: Weights that `train` or MMAction2 wrote.

    Returns:
        The result; None in all processes but the main one.

    Raises:
        UserError: The checkpoint is missing, could run code, or is of another model; or data are missing.
    """
    runner = _build_runner(config)
    try:
        runner.load_checkpoint(str(checkpoint), strict=True)
    except RuntimeError as error:
        reasons = '; '.join(line.strip() for line in str(error).splitlines()[1:3])
        raise UserError(f'{checkpoint} does not fit the model of {config.filename}: {reasons}') from None
    return _test(runner, Path(checkpoint))


def _build_runner(config: Config) -> TerminalRunner:
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    config.test_evaluator = [*evaluators, dict(type='ClipScores')]
    return TerminalRunner.from_cfg(config)


def _test(runner: TerminalRunner, checkpoint: Path) -> Result | None:
    """Test the weights that the runner holds, which are those of `checkpoint`; write what was found."""
    started = time.perf_counter()
    runner.test()
    test_seconds = time.perf_counter() - started
    if not is_main_process():
        return None
    (kept,) = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, ClipScores))
    dataset = runner.test_dataloader.dataset
    classes = list(dataset.metainfo.get('classes') or map(str, range(kept.scores.shape[1])))
    work_dir = Path(runner.work_dir)

    meta = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger=runner.logger).get('meta', {})
    history = _history(checkpoint, meta.get('epoch'))
    result = Result(
        name=Path(runner.cfg.filename).stem,
        config_sha256=_digest(runner.cfg),
        checkpoint=checkpoint.name,
        checkpoint_sha256=sha256_of(checkpoint),
        protocol=_protocol(runner.cfg, meta, len(kept.labels), len(classes)),
        metrics=accuracies(kept.scores, kept.labels),
        costs={
            'parameters': sum(parameter.numel() for parameter in runner.model.parameters()),
            'train_seconds': sum(entry['train_seconds'] for entry in history) or None,
            'test_seconds': test_seconds,
        },
        environment=_environment(runner.cfg),
        history=history,
    )
    clips = ['/'.join(Path(dataset.get_data_info(index)['filename']).parts[-2:]) for index in range(len(dataset))]
    Scores(clips, classes, kept.labels, kept.scores).save(work_dir / 'scores.npz')
    plot_confusion_matrix(confusion_matrix(kept.scores, kept.labels), classes, work_dir / 'confusion_matrix.png')
    result.save(work_dir / 'result.json')
    return result


def _history(checkpoint: Path, epoch: int | None) -> list[dict]:
    """Return the entries that `EpochHistoryHook` left beside the checkpoint, up to its epoch."""
    file = checkpoint.with_name('history.json')
    if epoch is None or not file.is_file():
        return []
    return [entry for entry in json.loads(file.read_text(encoding='utf-8')) if entry['epoch'] <= epoch]


def _digest(config: Config) -> str:
    """Return the SHA-256 of what a config says, whatever the folders it works in."""
    config = Config({key: value for key, value in config.to_dict().items() if key not in WHERE_NOT_WHAT})
    for dataset in datasets(config):
        dataset.pop('data_root', None)
    return sha256_of(config.dump())


def _protocol(config: Config, meta: dict[str, Any], test_clips: int, classes: int) -> Protocol:
    dataset = next(dataset for dataset in reversed(list(datasets(config))) if 'pipeline' in dataset)
    root = Path(dataset.get('data_root') or '.')
    summary_file = root / 'summary.json'
    summary = json.loads(summary_file.read_text(encoding='utf-8')) if summary_file.is_file() else {}
    sampling = next(step for step in dataset.pipeline if 'Sample' in step['type'])
    crops = [CROPS[step['type']] for step in dataset.pipeline if step['type'] in CROPS]
    # Several clips of one frame are one view of a 2D recognizer, several longer ones are as many views.
    views = sampling.get('num_clips', 1) if sampling.get('clip_len', 1) > 1 else 1
    return Protocol(
        data=root.resolve().name,
        split=summary.get('protocol'),
        split_seed=summary.get('seed'),
        train_clips=summary.get('train_clips'),
        test_clips=test_clips,
        classes=classes,
        test_clips_with_sibling_in_train=summary.get('test_clips_with_sibling_in_train', {}).get('count'),
        test_pipeline=[dict(step) for step in dataset.pipeline],
        views=views * (crops[0] if crops else 1) * (2 if sampling.get('twice_sample') else 1),
        epochs=meta.get('epoch'),
        batch_size=config.train_dataloader.batch_size * get_world_size() if config.get('train_dataloader') else None,
        training_seed=meta.get('seed'),
        initial_weights=str(
            config.model.backbone.get('pretrained')
            or (config.model.backbone.get('init_cfg') or {}).get('checkpoint')
            or 'scratch'
        ),
    )


def _environment(config: Config) -> dict[str, Any]:
    cpu_info = Path('/proc/cpuinfo')
    names = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    processor = next((line.partition(': ')[2] for line in names if line.startswith('model name')), platform.machine())
    return {
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else processor,
        'threads': torch.get_num_threads(),
        'processes': get_world_size(),
        'precision': 'mixed' if config.optim_wrapper.get('type') == 'AmpOptimWrapper' else 'float32',
        'decoder': config.get('decoder'),
        'python': platform.python_version(),
        **{name: version(name) for name in ('tvn_mmaction', 'mmaction2', 'mmengine', 'torch')},
    }
