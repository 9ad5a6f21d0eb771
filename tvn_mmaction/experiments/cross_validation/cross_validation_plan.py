"""Folds of a protocol: planning their trainings and collecting their results."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ...checks.artifacts import check_artifacts
from ...checks.run_plan import RunPlan
from ...config.dependencies import foreign_training
from ...config.loaders import build_without_videos, dataset_of, use_split
from ...datasets.protocols import assign_folds, dropped_clips, fold_count
from ...evaluation.plots import plot_folds
from ...evaluation.provenance import config_digest
from ...evaluation.result import Scores
from ...utils.errors import UserError
from ..scheduling.job import Job
from .cross_validation_record import CrossValidation, pool_folds


@dataclass(frozen=True)
class CrossValidationPlan:
    """Folds of a protocol for one config."""

    config: Config
    folds: list[Job]  # by number
    folder: Path  # contains the folders of the folds
    dropped_clips: int  # neither trained nor tested on in this protocol

    def choose(self, numbers: Sequence[int]) -> list[Job]:
        """Return folds by number.

        Raises:
            UserError: There is no such fold, the config reads features or frame selections of a network that may have
                seen the test clips of the fold, or these artifacts lack clips.
        """
        check_artifacts(RunPlan(self.config))  # all folds together have the same clips
        pipeline = dataset_of(self.config, 'test_dataloader').get('pipeline', [])
        count = len(self.folds)
        for number in numbers:
            if number >= count:
                raise UserError(
                    f'there is no fold {number}: the protocol has {count}. Use folds from 0 to {count - 1}.'
                )
            if artifact := foreign_training(pipeline, self.folds[number].clips[1]):
                raise UserError(
                    f'fold {number}: {self.config.filename} reads {artifact}, a network that was not trained on '
                    'exactly the train clips of this fold and may have seen its test clips. Choose the fold that it '
                    'was trained for with --folds.'
                )
        return [self.folds[number] for number in numbers]


def plan_cross_validation(config: Config, protocol: str | None = None) -> CrossValidationPlan:
    """Return the folds of a protocol. Draws the demo data set if it does not exist yet.

    Args:
        config: Config from `read_config`; changed in place to the protocol.
        protocol: A name in `PROTOCOLS`, by default that of the config.

    Raises:
        UserError: The config defines no split, clips are missing, their groups do not allow the protocol, or a fold
            would have no clips to train on.
    """
    train_dataset = dataset_of(config, 'train_dataloader')
    if not {'protocol', 'seed'} <= set(config.get('split') or ()) or 'protocol' not in train_dataset:
        raise UserError(
            f'{config.filename} has no split = dict(protocol=..., fold=..., seed=...) for a UCF50Dataset. Add both as '
            'in configs/_base_/ucf50.py.'
        )
    use_split(config, protocol=protocol or config.split.protocol, fold=0)
    dataset = build_without_videos(config, 'train_dataloader')
    name, seed = config.split.protocol, config.split.seed
    folder = Path(config.work_dir, f'{name}_seed{seed}')
    assigned = assign_folds(dataset.clips, name, seed)
    folds = []
    for number in range(fold_count(assigned)):
        fold_config = copy.deepcopy(config)
        use_split(fold_config, fold=number)
        folds.append(Job.from_config(fold_config, f'fold {number}', folder / f'fold{number}'))
    return CrossValidationPlan(config, folds, folder, len(dropped_clips(dataset.clips, assigned)))


def collect_cross_validation(plan: CrossValidationPlan) -> CrossValidation | None:
    """Pool the finished folds, if any, and write record, scores and plots into the plan's folder."""
    finished = [(number, fold, result) for number, fold in enumerate(plan.folds) if (result := fold.result())]
    if not finished:
        return None
    whole = copy.deepcopy(plan.config)
    use_split(whole, fold=None)
    record, scores = pool_folds(
        [result for *_, result in finished],
        [Scores.load(fold.folder / 'scores.npz') for _, fold, _ in finished],
        fold_count=len(plan.folds),
        dropped_clips=plan.dropped_clips,
        options=plan.config.options,
        config_sha256=config_digest(whole),
    )
    scores.save_with(record, plan.folder / 'cross_validation.json')
    plot_folds({number: result.metrics['top1'] for number, _, result in finished}, plan.folder / 'folds.png')
    return record
