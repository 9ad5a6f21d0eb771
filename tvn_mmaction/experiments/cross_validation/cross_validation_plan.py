"""All folds of a protocol: which there are, and what they say together."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ...checks.artifacts import check_artifacts
from ...checks.run_plan import RunPlan
from ...config.dataset_building import build_without_videos
from ...config.dependencies import foreign_training
from ...config.loading import dataset_of, use_split
from ...datasets.protocols import assign_folds, dropped_clips
from ...evaluation.metrics import confusion_matrix
from ...evaluation.plots import plot_confusion_matrix, plot_folds
from ...evaluation.provenance import config_digest
from ...evaluation.result import Scores
from ...utils.errors import UserError
from ..scheduling.job import Job
from .cross_validation_record import CrossValidation, pool_folds


@dataclass(frozen=True)
class Plan:
    """The folds of a protocol for one config."""

    config: Config
    folds: list[Job]  # by number
    folder: Path  # which theirs are in
    dropped_clips: int  # which the protocol neither trains nor tests on

    def choose(self, numbers: Sequence[int]) -> list[Job]:
        """Return folds by number.

        Raises:
            UserError: There is no such fold; the network that made the features, or selected the frames, that the
                config reads may have seen its test; or they lack clips.
        """
        check_artifacts(RunPlan(self.config))  # the clips of all folds, but for the dropped ones, are those of any fold
        pipeline = dataset_of(self.config, 'test_dataloader').get('pipeline', [])
        for number in numbers:
            if number >= len(self.folds):
                raise UserError(
                    f'there is no fold {number}: the protocol has {len(self.folds)}, from 0 to {len(self.folds) - 1}'
                )
            if read := foreign_training(pipeline, self.folds[number].clips[1]):
                raise UserError(
                    f'fold {number}: {self.config.filename} reads {read}, a network that was not trained on just the '
                    'clips that the fold trains on, so that it may have seen its test: choose the fold that it was '
                    'trained for with --folds'
                )
        return [self.folds[number] for number in numbers]


def plan(config: Config, protocol: str | None = None) -> Plan:
    """Return the folds of a protocol; a demo set that is not there yet is drawn.

    Args:
        config: As `read_config` returns it; changed in place to the protocol.
        protocol: A name in `PROTOCOLS`, by default the config's own.

    Raises:
        UserError: The config does not say how it divides clips; clips are missing, do not allow the protocol, or would
            leave a fold nothing to train on.
    """
    train_dataset = dataset_of(config, 'train_dataloader')
    if not {'protocol', 'seed'} <= set(config.get('split') or ()) or 'protocol' not in train_dataset:
        raise UserError(
            f'{config.filename} has no split = dict(protocol=..., fold=..., seed=...) for a UCF50Dataset to follow; '
            'configs/_base_/ucf50.py shows both'
        )
    use_split(config, protocol=protocol or config.split.protocol, fold=0)
    dataset = build_without_videos(config, 'train_dataloader')
    name, seed = config.split.protocol, config.split.seed
    folder = Path(config.work_dir, f'{name}_seed{seed}')
    assigned = assign_folds(dataset.clips, name, seed)
    folds = []
    for number in range(max(assigned) + 1):
        fold_config = copy.deepcopy(config)
        use_split(fold_config, fold=number)
        folds.append(Job.of(fold_config, f'fold {number}', folder / f'fold{number}'))
    dropped = dropped_clips(dataset.clips, assigned)
    return Plan(config, folds, folder, dropped)


def collect(plan: Plan) -> CrossValidation | None:
    """Put together what the finished folds found, and write record, scores and pictures into the plan's folder.

    Returns:
        The record; None where no fold is finished.

    Raises:
        UserError: The folds do not belong together.
    """
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
    scores.save(plan.folder / 'scores.npz')
    counts = confusion_matrix(scores.scores, scores.labels)
    plot_confusion_matrix(counts, scores.classes, plan.folder / 'confusion_matrix.png')
    plot_folds({number: result.metrics['top1'] for number, _, result in finished}, plan.folder / 'folds.png')
    record.save(plan.folder / 'cross_validation.json')
    return record
