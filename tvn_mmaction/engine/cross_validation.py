"""All folds of a protocol: which there are, running them, and what they say together."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ..datasets.protocols import assign_folds, dropped_clips
from ..errors import UserError
from ..evaluation import CrossValidation, Scores, confusion_matrix, plot_confusion_matrix, plot_folds, pool_folds
from .config import configure_training, datasets, use_split
from .fold import Fold
from .pools import Pool
from .record import build_without_videos, clips_of, config_digest, list_digest
from .watch import watch


@dataclass(frozen=True)
class Plan:
    """The folds of a protocol for one config."""

    config: Config
    folds: list[Fold]
    folder: Path  # which theirs are in
    epochs: int  # of each fold
    dropped_clips: int  # which the protocol neither trains nor tests on

    def choose(self, numbers: Sequence[int]) -> list[Fold]:
        """Return folds by number.

        Raises:
            UserError: There is no such fold.
        """
        for number in numbers:
            if number >= len(self.folds):
                raise UserError(
                    f'there is no fold {number}: the protocol has {len(self.folds)}, from 0 to {len(self.folds) - 1}'
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
    train_dataset = list(datasets(config, ('train_dataloader',)))[-1]
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
        folds.append(
            Fold(
                number=number,
                config=config.filename,
                options={**config.options, **{f'split.{key}': value for key, value in fold_config.split.items()}},
                data_root=dataset.data_root,
                directory=Path.cwd(),
                folder=Path(folder, f'fold{number}').absolute(),
                config_digests=_digests_of_training(fold_config),
                clips=(
                    Path(dataset.data_root).resolve().name,
                    list_digest(clips_of(build_without_videos(fold_config, 'train_dataloader'))),
                    list_digest(clips_of(build_without_videos(fold_config, 'test_dataloader'))),
                ),
            )
        )
    dropped = dropped_clips(dataset.clips, assigned)
    return Plan(config, folds, folder, config.train_cfg.get('max_epochs', 1), dropped)


def prepare(plan: Plan, folds: Sequence[Fold], resume: bool) -> list[Fold]:
    """Get the folders of those folds ready that are not finished, and return them.

    Args:
        plan: The whole, of which no fold may be finished in another way.
        folds: Those to run.
        resume: Go on from the last checkpoint where there is one, else start anew.

    Raises:
        UserError: A folder holds a result or, to resume from, a checkpoint of another configuration.
    """
    finished = [fold for fold in plan.folds if fold.result()]
    unfinished = [fold for fold in folds if fold not in finished]
    for fold in unfinished:
        fold.prepare(resume)
    return unfinished


def run(plan: Plan, folds: Sequence[Fold], unfinished: Sequence[Fold], pool: Pool) -> dict[int, str]:
    """Run the unfinished ones of some folds, and show on the terminal how all of them go.

    Returns:
        Why folds failed, by number.
    """
    try:
        return watch(folds, {fold.number: pool.submit(fold) for fold in unfinished}, plan.epochs)
    finally:
        pool.close()


def collect(plan: Plan) -> CrossValidation | None:
    """Put together what the finished folds found, and write record, scores and pictures into the plan's folder.

    Returns:
        The record; None where no fold is finished.

    Raises:
        UserError: The folds do not belong together.
    """
    finished = [(fold, result) for fold in plan.folds if (result := fold.result())]
    if not finished:
        return None
    whole = copy.deepcopy(plan.config)
    use_split(whole, fold=None)
    record, scores = pool_folds(
        [result for _, result in finished],
        [Scores.load(fold.folder / 'scores.npz') for fold, _ in finished],
        fold_count=len(plan.folds),
        dropped_clips=plan.dropped_clips,
        options=plan.config.options,
        config_sha256=config_digest(whole),
    )
    scores.save(plan.folder / 'scores.npz')
    counts = confusion_matrix(scores.scores, scores.labels)
    plot_confusion_matrix(counts, scores.classes, plan.folder / 'confusion_matrix.png')
    plot_folds({fold.number: result.metrics['top1'] for fold, result in finished}, plan.folder / 'folds.png')
    record.save(plan.folder / 'cross_validation.json')
    return record


def _digests_of_training(config: Config) -> frozenset[str]:
    """Return the digests that a result of this config may have: of a training in one go, and of one that went on."""
    digests = set()
    for resume in (None, 'auto'):
        trained = copy.deepcopy(config)
        configure_training(trained, resume=resume)
        digests.add(config_digest(trained))
    return frozenset(digests)
