"""A recipe with and without its parts: which trainings that takes, and what they say together."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from mmengine.config import Config
from scipy.stats import false_discovery_control

from ...config.loading import config_name, read_config
from ...evaluation.metrics import accuracies, confusion_matrix, most_confused
from ...evaluation.result import Protocol, Result, Scores, environment_of
from ...utils.console import silent
from ...utils.errors import UserError
from ...utils.io import read_yaml, sha256_of
from ..cross_validation.cross_validation_record import COUNTS, sum_of_counts
from ..scheduling.job import Job
from ..sweep.sweep_record import as_options
from ..validation_split import NO_LOOK_BETWEEN_EPOCHS, on_validation, warn_of_siblings
from .ablation_plots import plot_ablation, plot_learning_curves
from .ablation_record import HARDEST, Ablation, Difference, Row, Run, paired_p_value

RECIPE, NO_PART = 'the recipe', 'no part'
LONGEST_FOLDER = 100  # characters of the name of a row's; file systems take some 250
# In what no rows may differ, for they are to be compared on the same clips.
COMMON = ('data', 'split', 'split_fold', 'split_seed', 'subset', 'train_list_sha256', 'test_list_sha256')

Parts = Mapping[str, Mapping[str, Any]]  # by name, the options that switch a part off; in their order


@dataclass(frozen=True)
class PlannedRow:
    """A row before its trainings."""

    name: str
    against: str | None  # the row that it is compared with
    config: str  # file
    options: dict[str, Any]  # what it changes in the config, beside those of all rows
    jobs: dict[int, list[Job]]  # by seed; one a validation fold, where there are any


@dataclass(frozen=True)
class AblationPlan:
    """All trainings of an ablation; rows that are the same configuration share theirs."""

    config: Config  # the recipe's
    options: dict[str, Any]  # of all rows
    rows: list[PlannedRow]
    validation_folds: list[int]  # none where the test is measured
    folder: Path

    @property
    def jobs(self) -> list[Job]:
        """The trainings, each once, seed by seed and fold by fold: what is interrupted has something of every row."""
        seeds = dict.fromkeys(seed for row in self.rows for seed in row.jobs)
        jobs = [job for seed in seeds for of_fold in zip(*(row.jobs[seed] for row in self.rows), strict=True)
                for job in of_fold]  # fmt: skip
        return list({job.folder: job for job in reversed(jobs)}.values())[::-1]  # the first of those that are the same


def read_parts(file: str | Path) -> Parts:
    """Read the parts of a recipe: YAML with, by name, the options that switch each off.

    Raises:
        UserError: There is no such file, or something else in it.
    """
    parts = read_yaml(Path(file), 'list of parts', 'name one, such as configs/recipes/parts.yaml')
    if not isinstance(parts, dict) or not parts:
        raise UserError(f'{file} lists no parts: give lines of "name: {{option: value}}", what switches each off')
    for name, options in parts.items():
        if not isinstance(name, str) or not re.fullmatch(r'\w+', name):
            raise UserError(f'{file}: part {name!r} has a name that no folder can have; use letters and underscores')
        if not isinstance(options, dict) or not options or not all(isinstance(key, str) for key in options):
            raise UserError(f'{file}: part {name} is {options!r}; give the options that switch it off, by their names')
    return parts


def plan(
    config_file: str,
    parts: Parts,
    seeds: Sequence[int],
    work_dir: Path,
    *,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
    only: str | None = None,
    plain: str | None = None,
    beside: Sequence[tuple[str, Mapping[str, Any]]] = (),
    validation_folds: Sequence[int] = (),
) -> AblationPlan:
    """Return the trainings of an ablation; no video is read.

    Args:
        config_file: The recipe.
        parts: See `read_parts`; none are needed for the recipe alone.
        seeds: Of the trainings of each row.
        work_dir: Each training gets a folder in it.
        data_root: The folder of the manifest; by default the config's own.
        options: Of the command line, for all rows.
        only: `'adding'` for the rows that add part after part, `'leaving'` for those that leave one out, `'full'` for
            the recipe alone; by default all.
        plain: A config to begin with, by which the recipe is measured.
        beside: Configs that are measured by the recipe, such as other networks with the same one, each with the options
            of its row alone.
        validation_folds: For choices: train without one of these folds of the train clips, and measure on it, one after
            the other; by default the test is measured.

    Raises:
        UserError: A config cannot be read, or a part switches nothing off in it; two rows have one name, or other
            clips; or what the validation sets is set.
    """
    options = dict(options or {})
    recipe = read_config(config_file, data_root=data_root, options=options)
    for name, switched in parts.items():
        _check_part(recipe, name, switched)
    planned = []
    if plain:
        planned.append((f'`{config_name(plain)}`', None, plain, {}, f'plain_{config_name(plain)}'))
    own_rows = rows_of(list(parts), only)
    for name, against, off in own_rows:
        switched = {option: value for part in off for option, value in parts[part].items()}
        before = planned[-1][0] if planned and not against else against
        planned.append((name, before, config_file, switched, folder_of(off, list(parts))))
    whole = next(name for name, _, off in own_rows if not off)
    for file, changed in beside:
        told = as_options(changed)
        folder = _folder_beside('_'.join(['beside', config_name(file), *told]))
        planned.append((', '.join([f'`{config_name(file)}`', *told]), whole, file, dict(changed), folder))
    names = [name for name, *_ in planned]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(
            f'{twice} is the name of two configs, and rows need names of their own: rename one of the files'
        )
    rows = []
    for name, against, file, switched, folder in planned:
        own, jobs = {**options, **switched}, {seed: [] for seed in seeds}
        held_out = {None: NO_LOOK_BETWEEN_EPOCHS}
        if validation_folds:
            with silent():
                config = read_config(file, data_root=data_root, options=own)
            held_out = {fold: on_validation(config, own, fold) for fold in validation_folds}
        for fold, measured_on in held_out.items():
            with silent():
                config = read_config(file, data_root=data_root, options={**own, **measured_on})
            for seed in seeds:
                seeded = copy.deepcopy(config)
                seeded.merge_from_dict({'randomness.seed': seed})
                seeded.options = {**config.options, 'randomness.seed': seed}
                # Fold 0 is the validation where no others are asked for: what it made is found again.
                job_name = f'{name}, seed {seed}' + (f', fold {fold}' if any(validation_folds) else '')
                job_folder = work_dir / folder / (f'seed{seed}_fold{fold}' if fold else f'seed{seed}')
                jobs[seed].append(Job.of(seeded, job_name, job_folder))
        rows.append(PlannedRow(name, against, file, switched, jobs))
    _check_same_clips(rows)
    if validation_folds:
        warn_of_siblings(config)  # of the last row and fold, which says it for all
    return AblationPlan(recipe, options, rows, list(validation_folds), work_dir)


def rows_of(parts: Sequence[str], only: str | None = None) -> list[tuple[str, str | None, list[str]]]:
    """Return the rows of an ablation: name, which one it is compared with (None for the one above), parts off."""
    adding = [(NO_PART, None, list(parts))]
    adding += [(f'+ {part}', None, list(parts[count:])) for count, part in enumerate(parts[:-1], start=1)]
    recipe = RECIPE if only in ('leaving', 'full') else f'+ {parts[-1]} = {RECIPE}'
    rows = [*([] if only in ('leaving', 'full') else adding), (recipe, None, [])]
    return rows if only in ('adding', 'full') else [*rows, *((f'without {part}', recipe, [part]) for part in parts)]


def folder_of(off: Sequence[str], parts: Sequence[str]) -> str:
    """Return the folder of a row by its parts alone, so that rows of the same ones share it."""
    on = [part for part in parts if part not in off]
    if not off:
        return 'recipe'
    return f'without_{"_".join(off)}' if len(off) <= len(on) else '_'.join(['only', *on]) if on else 'no_part'


def _folder_beside(name: str) -> str:
    """Return a folder for what a row is called: as it stands, or marked where that would be no name for a folder."""
    folder = re.sub(r'[^\w.=-]+', '_', name, flags=re.ASCII)[:LONGEST_FOLDER]
    return folder if folder == name else f'{folder}_{sha256_of(name)[:10]}'


def _check_same_clips(rows: Sequence[PlannedRow]) -> None:
    """Check before any training what would keep its rows from being compared after it."""
    clips = {row.name: [job.clips for job in next(iter(row.jobs.values()))] for row in rows if row.jobs}
    for name, of_row in clips.items():
        if of_row != clips[rows[0].name]:
            raise UserError(
                f'{name} and {rows[0].name} have other clips, so that they do not compare: give all rows one split, '
                'such as --cfg-options split.protocol=ucf101like'
            )


def _check_part(recipe: Config, name: str, switched: Mapping[str, Any]) -> None:
    """Check that a part is in the recipe, or a row without it would be the recipe itself."""
    for option, value in switched.items():
        found = recipe
        for step in option.split('.'):
            if isinstance(found, (list, tuple)):
                found = dict(enumerate(found))
                step = int(step) if step.isdecimal() else step
            if not isinstance(found, Mapping | Config) or step not in found:
                raise UserError(
                    f'part {name} is switched off by {option}, and {recipe.filename} has no such variable: correct '
                    'the list of parts, or name another one behind the config'
                )
            found = found[step]
        if found == value:
            raise UserError(
                f'part {name} is switched off by {option}={value}, which {recipe.filename} has already: name a list of '
                'its own parts behind it, or train it alone, with --only full'
            )


def collect(plan: AblationPlan) -> Ablation | None:
    """Put together what the finished trainings found, and write record and pictures into the plan's folder.

    A seed counts once its trainings on all validation folds are finished.

    Returns:
        The record; None where no seed of any row is finished.

    Raises:
        UserError: The rows are of other clips.
    """
    finished = {job.folder: job.result() for job in plan.jobs}
    missing = list(dict.fromkeys(job.name.partition(', fold ')[0] for job in plan.jobs if not finished[job.folder]))
    results = {
        row.name: {
            seed: folds for seed, jobs in row.jobs.items() if all(folds := [finished[job.folder] for job in jobs])
        }
        for row in plan.rows
    }
    rows = [row for row in plan.rows if results[row.name]]
    if not rows:
        return None
    results = {row.name: results[row.name] for row in rows}
    scores = _scores({row.name: {seed: row.jobs[seed] for seed in results[row.name]} for row in rows})
    differences = _differences(rows, scores)
    record = Ablation(
        name=config_name(plan.config.filename),
        options=plan.options,
        protocol=_in_common([folds for found in results.values() for folds in found.values()]),
        rows=[_row(row, results[row.name], scores[row.name], differences.get(row.name)) for row in rows],
        missing=missing,
        environment=environment_of(
            [result for found in results.values() for folds in found.values() for result in folds]
        ),
        validation_folds=plan.validation_folds,
    )
    plot_ablation(record, plan.folder / 'ablation.png')
    plot_learning_curves(
        {name: [result.history for folds in found.values() for result in folds] for name, found in results.items()},
        plan.folder / 'curves.png',
    )
    record.save(plan.folder / 'ablation.json')
    return record


def _row(
    row: PlannedRow, results: Mapping[int, list[Result]], scores: Sequence[Scores], difference: Difference | None
) -> Row:
    result = next(iter(results.values()))[0]
    right = _right(scores).mean(0)
    videos, place = np.unique(scores[0].videos, return_inverse=True)
    counts = sum(confusion_matrix(of_seed.scores, of_seed.labels) for of_seed in scores)
    return Row(
        name=row.name,
        config=result.name,
        options=row.options,
        runs=[_run(seed, folds, said) for (seed, folds), said in zip(results.items(), scores, strict=True)],
        parameters=int(result.costs['parameters']),
        gmacs_per_video=result.costs['gmacs_per_video'],
        views=result.protocol.views,
        epochs=result.protocol.epochs,
        initial_weights=result.protocol.initial_weights,
        difference=difference,
        class_top1={
            name: float(right[scores[0].labels == label].mean())
            for label, name in enumerate(scores[0].classes)
            if (scores[0].labels == label).any()
        },
        confused=most_confused(counts, scores[0].classes, HARDEST),
        never_right=videos[np.bincount(place, weights=right) == 0].tolist(),
    )


def _run(seed: int, folds: Sequence[Result], scores: Scores) -> Run:
    metrics = accuracies(scores.scores, scores.labels)
    return Run(
        seed=seed,
        top1=metrics['top1'].value,
        mean_class=metrics['mean_class'].value,
        epoch_seconds=mean(mean(epoch['train_seconds'] for epoch in fold.history) for fold in folds),
        train_seconds=mean(fold.training_seconds for fold in folds),
        test_seconds=mean(fold.costs['test_seconds'] for fold in folds),
    )


def _scores(finished: Mapping[str, Mapping[int, list[Job]]]) -> dict[str, list[Scores]]:
    """Return by row what each of its finished seeds said of the clips, which are the same for all."""
    found: dict[str, list[Scores]] = {}
    first = next(iter(finished))
    for row, seeds in finished.items():
        for seed, jobs in seeds.items():
            folds = [Scores.load(job.folder / 'scores.npz') for job in jobs]
            found.setdefault(row, []).append(Scores.together(folds))
            if found[row][-1].clips != found[first][0].clips:
                raise UserError(
                    f'{row}, seed {seed}, was tested on other clips than {first}: rows of an ablation have one split'
                )
    return found


def _right(scores: Sequence[Scores]) -> np.ndarray:
    """Return which clips each seed gets right, `(seeds, clips)`."""
    return np.stack([of_seed.scores.argmax(1) == of_seed.labels for of_seed in scores])


def _differences(rows: Sequence[PlannedRow], scores: Mapping[str, list[Scores]]) -> dict[str, Difference]:
    """Return the differences of rows by name; of those whose other row has a finished training too."""
    right = {name: _right(of_seeds) for name, of_seeds in scores.items()}
    videos = scores[rows[0].name][0].videos
    pairs = {row.name: row.against for row in rows if row.against in right}
    p_values = {name: paired_p_value(right[name], right[other], videos) for name, other in pairs.items()}
    corrected = false_discovery_control(list(p_values.values())) if p_values else []
    return {
        name: Difference(other, float(right[name].mean() - right[other].mean()), p_values[name], float(p_corrected))
        for (name, other), p_corrected in zip(pairs.items(), corrected, strict=True)
    }


def _in_common(results: Sequence[Sequence[Result]]) -> Protocol:
    """Return what all results have in common, None in the place of what differs, and the sums of their test clips.

    Args:
        results: Of each training, fold by fold.
    """
    folds = list(zip(*results, strict=True))
    for of_fold in folds:
        different = _different(of_fold)
        if apart := [name for name in COMMON if name in different]:
            raise UserError(
                f'the rows differ in their {" and ".join(apart)}, so that they do not compare: let all configs have '
                'the same split'
            )
    different = _different([result for of_fold in folds for result in of_fold])
    sums = {name: sum_of_counts([getattr(of_fold[0].protocol, name) for of_fold in folds]) for name in COUNTS}
    return replace(results[0][0].protocol, **dict.fromkeys(different) | sums)


def _different(results: Sequence[Result]) -> set[str]:
    """Return the fields of the protocol in which results are not alike."""
    protocols = [asdict(result.protocol) for result in results]
    return {name for name in protocols[0] if any(protocol[name] != protocols[0][name] for protocol in protocols)}
