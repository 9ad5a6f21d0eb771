"""Ablation of a recipe: planning the trainings of its rows and collecting their results."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from mmengine.config import Config
from scipy.stats import false_discovery_control

from ...config.loading import config_name, read_config
from ...evaluation.metrics import most_confused
from ...evaluation.result import Protocol, Result, Scores, environment_of
from ...utils.console import silent
from ...utils.errors import UserError
from ...utils.io import sha256_of
from ..common_protocol import common_protocol, different_fields, summed_counts
from ..options_file import option_words, read_options_file
from ..scheduling.job import Job
from ..significance import paired_p_value
from ..training_plots import plot_ablation, plot_learning_curves
from ..validation_split import NO_EVALUATION_BETWEEN_EPOCHS, validation_options, warn_of_group_leakage
from .ablation_record import HARDEST, Ablation, AblationDifference, AblationRow, AblationRun

RECIPE, NO_PART = 'the recipe', 'no part'
MAX_FOLDER_LENGTH = 100  # characters; file systems allow some 250
# Protocol fields that all rows share, so that they are compared on the same clips.
SPLIT_FIELDS = ('data', 'split', 'split_fold', 'split_seed', 'subset', 'train_list_sha256', 'test_list_sha256')

Parts = Mapping[str, Mapping[str, Any]]  # options that switch a part off, by the name of the part, in order


@dataclass(frozen=True)
class PlannedRow:
    """A row before its trainings."""

    name: str
    against: str | None  # the row that it is compared with
    config: str  # file
    options: dict[str, Any]  # of this row alone
    jobs: dict[int, list[Job]]  # by seed; one per validation fold, if there are any


@dataclass(frozen=True)
class AblationPlan:
    """All trainings of an ablation. Rows with the same configuration share theirs."""

    config: Config  # the recipe
    options: dict[str, Any]  # of all rows
    rows: list[PlannedRow]
    validation_folds: list[int]  # empty if measured on the test
    folder: Path

    @property
    def jobs(self) -> list[Job]:
        """Distinct trainings, ordered by seed and fold, so that an interrupted ablation has results of every row."""
        seeds = dict.fromkeys(seed for row in self.rows for seed in row.jobs)
        by_fold = (jobs for seed in seeds for jobs in zip(*(row.jobs[seed] for row in self.rows), strict=True))
        jobs: dict[Path, Job] = {}
        for job in (job for jobs in by_fold for job in jobs):
            jobs.setdefault(job.folder, job)
        return list(jobs.values())


def read_parts(file: str | Path) -> Parts:
    """Read the parts of a recipe: YAML with the options that switch each part off, by its name."""
    parts = read_options_file(
        file,
        'list of parts',
        'Name one, such as configs/recipes/parts.yaml.',
        'lists no parts. Use lines of "name: {option: value}" with the options that switch each part off.',
    )
    for name, options in parts.items():
        if not isinstance(name, str) or not re.fullmatch(r'\w+', name):
            raise UserError(f'{file}: part {name!r} has an invalid name. Use letters, digits and underscores.')
        if not isinstance(options, dict) or not options or not all(isinstance(key, str) for key in options):
            raise UserError(f'{file}: part {name} is {options!r}. Give the options that switch it off, by name.')
    return parts


def plan_ablation(
    config_file: str,
    parts: Parts,
    seeds: Sequence[int],
    work_dir: Path,
    *,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
    kind: str | None = None,
    baseline: str | None = None,
    compare_with: Sequence[tuple[str, Mapping[str, Any]]] = (),
    validation_folds: Sequence[int] = (),
) -> AblationPlan:
    """Return the trainings of an ablation. Reads no video.

    Args:
        config_file: The recipe.
        parts: See `read_parts`; not needed for the recipe alone.
        seeds: Seeds of the trainings of each row.
        work_dir: Parent folder of all trainings.
        data_root: Folder of the manifest, by default that of the config.
        options: Options of the command line, for all rows.
        kind: Rows to train: `'add'` part after part, `'drop'` one part each, `'full'` for the recipe alone; by default
            those that add and those that drop.
        baseline: Config of a first row, with which the following row is compared.
        compare_with: Configs of further rows that are compared with the recipe, each with the options of its row.
        validation_folds: Folds of the train clips to hold out and measure on, one after the other, for choices; by
            default, rows are measured on the test.

    Raises:
        UserError: A config cannot be read, a part switches nothing off, two rows have the same name or different clips,
            or an option contradicts the validation.
    """
    options = dict(options or {})
    recipe = read_config(config_file, data_root=data_root, options=options)
    for name, off in parts.items():
        _check_part(recipe, name, off)
    # Folder names are those of earlier releases, so that their trainings are found.
    specs = []
    if baseline:
        specs.append((f'`{config_name(baseline)}`', None, baseline, {}, f'plain_{config_name(baseline)}'))
    own_rows = ablation_rows(list(parts), kind)
    for name, against, off in own_rows:
        changes = {option: value for part in off for option, value in parts[part].items()}
        against = against or (specs[-1][0] if specs else None)
        specs.append((name, against, config_file, changes, row_folder(off, list(parts))))
    full = next(name for name, _, off in own_rows if not off)
    for file, changes in compare_with:
        words = option_words(changes)
        folder = _safe_folder('_'.join(['beside', config_name(file), *words]))
        specs.append((', '.join([f'`{config_name(file)}`', *words]), full, file, dict(changes), folder))
    names = [name for name, *_ in specs]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f'{repeated} is the name of two rows. Rename one of the config files.')
    rows = []
    for name, against, file, changes, folder in specs:
        row_options, jobs = {**options, **changes}, {seed: [] for seed in seeds}
        measured = {None: NO_EVALUATION_BETWEEN_EPOCHS}
        if validation_folds:
            config = _read_quietly(file, data_root, row_options)
            measured = {fold: validation_options(config, row_options, fold) for fold in validation_folds}
        for fold, measuring in measured.items():
            config = _read_quietly(file, data_root, {**row_options, **measuring})
            for seed in seeds:
                seeded = copy.deepcopy(config)  # ten times as fast as reading it again
                seeded.merge_from_dict({'randomness.seed': seed})
                seeded.options = {**config.options, 'randomness.seed': seed}
                # Fold 0 is also the one of a single validation: its training is found again.
                job_name = f'{name}, seed {seed}' + (f', fold {fold}' if any(validation_folds) else '')
                job_folder = work_dir / folder / (f'seed{seed}_fold{fold}' if fold else f'seed{seed}')
                jobs[seed].append(Job.from_config(seeded, job_name, job_folder))
        rows.append(PlannedRow(name, against, file, changes, jobs))
    _check_same_clips(rows)
    if validation_folds:
        warn_of_group_leakage(config)  # one warning for all rows and folds
    return AblationPlan(recipe, options, rows, list(validation_folds), work_dir)


def _read_quietly(file: str, data_root: str | None, options: Mapping[str, Any]) -> Config:
    with silent():
        return read_config(file, data_root=data_root, options=options)


def ablation_rows(parts: Sequence[str], kind: str | None = None) -> list[tuple[str, str | None, list[str]]]:
    """Return the rows of an ablation: name, row to compare with (None for the previous one), parts that are off."""
    if kind in ('drop', 'full'):
        rows, recipe = [], RECIPE
    else:
        rows, recipe = [(NO_PART, None, list(parts))], f'+ {parts[-1]} = {RECIPE}'
        rows += [(f'+ {part}', None, list(parts[count:])) for count, part in enumerate(parts[:-1], start=1)]
    rows.append((recipe, None, []))
    return rows if kind in ('add', 'full') else [*rows, *((f'without {part}', recipe, [part]) for part in parts)]


def row_folder(off: Sequence[str], parts: Sequence[str]) -> str:
    """Return the folder of a row by its parts alone, so that rows with the same parts share it."""
    on = [part for part in parts if part not in off]
    if not off:
        return 'recipe'
    return f'without_{"_".join(off)}' if len(off) <= len(on) else '_'.join(['only', *on]) if on else 'no_part'


def _safe_folder(name: str) -> str:
    """Return a name that any file system accepts, with a digest if it differs from the given one."""
    folder = re.sub(r'[^\w.=-]+', '_', name, flags=re.ASCII)[:MAX_FOLDER_LENGTH]
    return folder if folder == name else f'{folder}_{sha256_of(name)[:10]}'


def _check_same_clips(rows: Sequence[PlannedRow]) -> None:
    """Raise a UserError before the first training if rows cannot be compared after the last one."""
    clips = {row.name: [job.clips for job in next(iter(row.jobs.values()))] for row in rows if row.jobs}
    for name, of_row in clips.items():
        if of_row != clips[rows[0].name]:
            raise UserError(
                f'{name} and {rows[0].name} have different clips and cannot be compared. Give all rows one split, such '
                'as --cfg-options split.protocol=ucf101like.'
            )


def _check_part(recipe: Config, name: str, off: Mapping[str, Any]) -> None:
    """Raise a UserError if the options that switch a part off do not change the recipe."""
    for option, value in off.items():
        found = recipe
        for step in option.split('.'):
            if isinstance(found, (list, tuple)):
                found = dict(enumerate(found))
                step = int(step) if step.isdecimal() else step
            if not isinstance(found, Mapping | Config) or step not in found:
                raise UserError(
                    f'part {name} is switched off by {option}, but {recipe.filename} has no such variable. Correct the '
                    'list of parts, or name another list after the config.'
                )
            found = found[step]
        if found == value:
            raise UserError(
                f'part {name} is switched off by {option}={value}, but that is its value in {recipe.filename}. Name a '
                'list of its own parts after the config, or train the recipe alone with --rows full.'
            )


def collect_ablation(plan: AblationPlan) -> Ablation | None:
    """Compute the metrics of all finished trainings, and write record and plots into the plan's folder.

    A seed counts when its trainings on all validation folds are finished. Without such a seed, the result is None.
    """
    finished = {job.folder: job.result() for job in plan.jobs}
    missing = list(dict.fromkeys(job.name.partition(', fold ')[0] for job in plan.jobs if not finished[job.folder]))
    done = {
        row.name: {seed: jobs for seed, jobs in row.jobs.items() if all(finished[job.folder] for job in jobs)}
        for row in plan.rows
    }
    rows = [row for row in plan.rows if done[row.name]]
    if not rows:
        return None
    results = {
        row.name: {seed: [finished[job.folder] for job in jobs] for seed, jobs in done[row.name].items()}
        for row in rows
    }
    of_seeds = [folds for found in results.values() for folds in found.values()]
    scores = _pooled_scores({row.name: done[row.name] for row in rows})
    differences = _differences(rows, scores)
    record = Ablation(
        name=config_name(plan.config.filename),
        options=plan.options,
        protocol=_pooled_protocol(of_seeds),
        rows=[_measured_row(row, results[row.name], scores[row.name], differences.get(row.name)) for row in rows],
        missing=missing,
        environment=environment_of([result for folds in of_seeds for result in folds]),
        validation_folds=plan.validation_folds,
    )
    record.save(plan.folder / 'ablation.json')
    plot_ablation(record, plan.folder / 'ablation.png')
    plot_learning_curves(
        {name: [result.history for folds in found.values() for result in folds] for name, found in results.items()},
        plan.folder / 'curves.png',
    )
    return record


def _measured_row(
    row: PlannedRow,
    results: Mapping[int, list[Result]],
    scores: Sequence[Scores],
    difference: AblationDifference | None,
) -> AblationRow:
    result, classes, labels = next(iter(results.values()))[0], scores[0].classes, scores[0].labels
    right = _right(scores).mean(0)
    videos, place = np.unique(scores[0].videos, return_inverse=True)
    counts = sum(of_seed.confusion_matrix for of_seed in scores)
    return AblationRow(
        name=row.name,
        config=result.name,
        options=row.options,
        runs=[
            _measured_run(seed, folds, of_seed) for (seed, folds), of_seed in zip(results.items(), scores, strict=True)
        ],
        parameters=int(result.costs['parameters']),
        gmacs_per_video=result.costs['gmacs_per_video'],
        views=result.protocol.views,
        epochs=result.protocol.epochs,
        initial_weights=result.protocol.initial_weights,
        difference=difference,
        class_top1={
            name: float(right[labels == label].mean()) for label, name in enumerate(classes) if (labels == label).any()
        },
        confused=most_confused(counts, classes, HARDEST),
        never_right=videos[np.bincount(place, weights=right) == 0].tolist(),
    )


def _measured_run(seed: int, folds: Sequence[Result], scores: Scores) -> AblationRun:
    metrics = scores.metrics
    return AblationRun(
        seed=seed,
        top1=metrics['top1'].value,
        mean_class=metrics['mean_class'].value,
        epoch_seconds=mean(mean(epoch['train_seconds'] for epoch in fold.history) for fold in folds),
        train_seconds=mean(fold.training_seconds for fold in folds),
        test_seconds=mean(fold.costs['test_seconds'] for fold in folds),
    )


def _pooled_scores(done: Mapping[str, Mapping[int, list[Job]]]) -> dict[str, list[Scores]]:
    """Return the scores of all finished seeds by row, each over the clips of all folds, the same for all rows."""
    pooled: dict[str, list[Scores]] = {}
    first = next(iter(done))
    for row, seeds in done.items():
        for seed, jobs in seeds.items():
            scores = Scores.together([Scores.load(job.folder / 'scores.npz') for job in jobs])
            pooled.setdefault(row, []).append(scores)
            if scores.clips != pooled[first][0].clips:
                raise UserError(f'{row}, seed {seed}, was tested on other clips than {first}. Give all rows one split.')
    return pooled


def _right(scores: Sequence[Scores]) -> np.ndarray:
    """Return which clips each seed gets right, `(seeds, clips)`."""
    return np.stack([of_seed.scores.argmax(1) == of_seed.labels for of_seed in scores])


def _differences(rows: Sequence[PlannedRow], scores: Mapping[str, list[Scores]]) -> dict[str, AblationDifference]:
    """Return the differences by row, if the row that it is compared with has a finished training too."""
    right = {name: _right(of_seeds) for name, of_seeds in scores.items()}
    videos = scores[rows[0].name][0].videos
    pairs = {row.name: row.against for row in rows if row.against in right}
    p_values = [paired_p_value(right[name], right[other], videos) for name, other in pairs.items()]
    corrected = false_discovery_control(p_values) if p_values else []
    return {
        name: AblationDifference(other, float(right[name].mean() - right[other].mean()), p_value, float(p_corrected))
        for (name, other), p_value, p_corrected in zip(pairs.items(), p_values, corrected, strict=True)
    }


def _pooled_protocol(results: Sequence[Sequence[Result]]) -> Protocol:
    """Return the common protocol of the trainings of each seed, by fold, with the summed test clips of the folds."""
    folds = [[result.protocol for result in of_fold] for of_fold in zip(*results, strict=True)]
    for protocols in folds:
        different = different_fields(protocols)
        if different := [name for name in SPLIT_FIELDS if name in different]:
            raise UserError(
                f'the rows differ in their {" and ".join(different)} and cannot be compared. Give all rows one split.'
            )
    sums = summed_counts([protocols[0] for protocols in folds])
    return common_protocol([protocol for protocols in folds for protocol in protocols], **sums)
