"""Types of this package for loop, hooks, evaluators and data loaders, named in a config instead of MMEngine's."""

import copy
from typing import Any

from mmaction.registry import EVALUATOR
from mmengine.config import Config

from ..utils.errors import UserError

RUNNER = 'TerminalRunner'
DATALOADER = 'FaultTolerantDataLoader'
EVALUATOR_TYPE = 'BrokenClipEvaluator'
# By type of MMEngine, the type of this package that replaces it: it also continues after a clip that cannot be read,
# after the death of a process, and in the middle of an epoch.
REPLACEMENTS = {
    'EpochBasedTrainLoop': 'ResumableEpochTrainLoop',
    'CheckpointHook': 'AtomicCheckpointHook',
    'EMAHook': 'AveragedWeightsHook',
    'Evaluator': EVALUATOR_TYPE,
}
BROKEN_CLIPS = dict(max_share=0.01, time_limit_s=60)
HOOKS = dict(
    history=dict(type='EpochHistoryHook'),
    progress=dict(type='ProgressBarHook'),
    broken_clips=dict(type='BrokenClipsHook'),
    loss=dict(type='InvalidLossHook'),
    random_state=dict(type='RandomStateHook'),
    interruption=dict(type='InterruptionHook'),
)


def name_runner_types(config: Config) -> None:
    """Name the types of this package in a config that names those of MMEngine, or none, such as a user's own."""
    config.setdefault('runner_type', RUNNER)
    config.setdefault('dataloader_type', DATALOADER)
    config.broken_clips = {**BROKEN_CLIPS, **(config.get('broken_clips') or {})}
    if config.get('train_cfg'):
        _replace(config.train_cfg)
    config.default_hooks = {**copy.deepcopy(HOOKS), **(config.get('default_hooks') or {})}
    if config.default_hooks.broken_clips:
        config.default_hooks.broken_clips.setdefault('max_share', config.broken_clips.max_share)
    config.default_hooks.checkpoint = {'type': 'AtomicCheckpointHook', **(config.default_hooks.get('checkpoint') or {})}
    for name in ('history', 'broken_clips'):
        if config.default_hooks[name] is None:
            raise UserError(f'default_hooks.{name} is None, and every record needs it. Leave the option out.')
    for hook in (*config.default_hooks.values(), *(config.get('custom_hooks') or ())):
        _replace(hook)
    for name in ('val_evaluator', 'test_evaluator'):
        if config.get(name):
            config[name] = _evaluator(config[name])
    metrics = config.test_evaluator.metrics if config.get('test_evaluator') else []
    if not any(metric.get('type') == 'ClipScores' for metric in metrics):
        metrics.append(dict(type='ClipScores'))  # which results are made from


def _replace(part: Any) -> None:
    if isinstance(part, dict) and part.get('type') in REPLACEMENTS:
        part['type'] = REPLACEMENTS[part['type']]


def _evaluator(evaluator: Any) -> Any:
    """Return the evaluator for a metric, a list of metrics, or an evaluator of MMEngine."""
    if isinstance(evaluator, list):
        return dict(type=EVALUATOR_TYPE, metrics=evaluator)
    if 'metrics' not in evaluator:
        return dict(type=EVALUATOR_TYPE, metrics=[evaluator])
    evaluator.setdefault('type', EVALUATOR_TYPE)
    if isinstance(evaluator.metrics, dict):  # MMEngine accepts a metric without a list
        evaluator.metrics = [evaluator.metrics]
    _replace(evaluator)
    if EVALUATOR.get(evaluator['type']) is None:  # a metric, merged into the evaluator of a base config
        return dict(type=EVALUATOR_TYPE, metrics=[{key: evaluator[key] for key in evaluator if key != 'metrics'}])
    return evaluator
