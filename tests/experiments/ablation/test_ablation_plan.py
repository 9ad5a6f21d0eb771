"""Planned trainings of an ablation, and its record of planted results."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control

from tests.experiments.planted_trainings import plant
from tests.small_experiment import REPOSITORY, write_config, write_data
from tvn_mmaction.config.loaders import build_without_videos, datasets
from tvn_mmaction.config.loading import config_name, read_config
from tvn_mmaction.datasets.clip_lists import clips_of
from tvn_mmaction.experiments.ablation.ablation_plan import (
    ablation_rows,
    collect_ablation,
    plan_ablation,
    read_parts,
    row_folder,
)
from tvn_mmaction.experiments.ablation.ablation_record import Ablation, describe_ablation
from tvn_mmaction.experiments.significance import paired_p_value
from tvn_mmaction.utils.errors import UserError

PARTS = {
    'dropout': {'model.cls_head.dropout_ratio': 0},
    'decay': {'optim_wrapper.optimizer.weight_decay': 0, 'optim_wrapper.clip_grad': None},
    'warm_up': {'param_scheduler.0.start_factor': 1},
}


@pytest.fixture(scope='module')
def config_file(folder):
    return str(folder / 'tiny.py')


@pytest.fixture
def plan_full(config_file, tmp_path):
    """Plan the recipe alone, by default with seed 0."""

    def plan(seeds=(0,), file=config_file, **arguments):
        return plan_ablation(file, {}, list(seeds), tmp_path, kind='full', **arguments)

    return plan


def test_rows_add_part_after_part_and_then_drop_each():
    add = [
        ('no part', None, ['a', 'b', 'c']),
        ('+ a', None, ['b', 'c']),
        ('+ b', None, ['c']),
        ('+ c = the recipe', None, []),
    ]
    drop = [(f'without {part}', '+ c = the recipe', [part]) for part in 'abc']
    assert ablation_rows('abc') == add + drop
    assert ablation_rows('abc', 'add') == add
    assert ablation_rows('abc', 'drop') == [('the recipe', None, [])] + [(n, 'the recipe', off) for n, _, off in drop]
    assert ablation_rows([], 'full') == [('the recipe', None, [])]


def test_folder_names_identify_the_parts():
    folders = [row_folder(off, 'abcde') for off in ('', 'c', 'de', 'bcde', 'abcde')]
    assert folders == ['recipe', 'without_c', 'without_d_e', 'only_a', 'no_part']
    every = {row_folder([part for part in 'abcd' if number >> 'abcd'.index(part) & 1], 'abcd') for number in range(16)}
    assert len(every) == 16


def test_rows_with_the_same_parts_share_their_training(config_file, tmp_path):
    plan = plan_ablation(config_file, PARTS, [3, 5], tmp_path, options={'train_cfg.max_epochs': 4})
    by_name = {row.name: row.jobs for row in plan.rows}
    assert by_name['+ decay'][3][0].folder == by_name['without warm_up'][3][0].folder
    assert len(plan.rows) == 7 and len(plan.jobs) == 2 * 6
    assert [job.name for job in plan.jobs[:2]] == ['no part, seed 3', '+ dropout, seed 3']
    assert len({job.config_digests for job in plan.jobs}) == 12
    (job,) = by_name['without decay'][3]
    config = read_config(job.config, options=job.options)
    assert config.optim_wrapper.optimizer.weight_decay == 0 and config.optim_wrapper.clip_grad is None
    assert config.model.cls_head.dropout_ratio == 0.5 and config.randomness.seed == 3
    assert config.train_cfg.max_epochs == job.epochs == 4
    assert collect_ablation(plan) is None


@pytest.mark.parametrize('kind', [None, 'add', 'drop', 'full'])
def test_further_configs_are_compared_with_the_recipe(config_file, tmp_path, kind):
    """Their rows follow all others, have the options of all rows, and keep the parts of the recipe."""
    (tmp_path / 'other.py').write_text(f"_base_ = '{config_file}'\n")
    further, options = [(str(tmp_path / 'other.py'), {})], {'train_cfg.max_epochs': 4}
    plan = plan_ablation(config_file, PARTS, [3], tmp_path, kind=kind, options=options, compare_with=further)
    *_, row = plan.rows
    (recipe,) = (one for one in plan.rows if one.name == row.against)
    assert (row.name, row.options, row.jobs[3][0].config) == ('`other`', {}, further[0][0])
    assert recipe.options == {} and recipe.config == config_file
    assert row.jobs[3][0].epochs == recipe.jobs[3][0].epochs == 4
    assert len({one.jobs[3][0].folder for one in plan.rows}) == len({job.folder for job in plan.jobs})


def test_options_after_a_further_config_change_its_row_alone(config_file, plan_full):
    further = [(config_file, {'train_cfg.max_epochs': 6}), (config_file, {'train_cfg.max_epochs': 7})]
    plan = plan_full(options={'train_cfg.max_epochs': 4}, compare_with=further)
    name = f'`{Path(config_file).stem}`'
    assert [job.epochs for job in plan.jobs] == [4, 6, 7]
    assert [row.name for row in plan.rows[1:]] == [f'{name}, train_cfg.max_epochs={n}' for n in (6, 7)]


def test_every_further_row_has_its_own_valid_folder(config_file, plan_full):
    marks = ['x/1', 'x_1', 'x_12', 'x:1', 'ü/1', 'ü_12', 'a-long-value' * 30, 'a-long-value' * 30 + '2']
    jobs = plan_full(compare_with=[(config_file, {'model.mark': mark}) for mark in marks]).jobs
    assert len({job.folder for job in jobs}) == len(marks) + 1
    for job in jobs:
        job.folder.mkdir(parents=True)


def test_rows_that_cannot_be_compared_are_refused_before_any_training(config_file, plan_full, tmp_path):
    other = tmp_path / 'other.py'
    split = "dict(protocol='videowise', fold=0, seed=7)"
    loaders = ''.join(f'{kind}_dataloader = dict(dataset={split})\n' for kind in ('train', 'val', 'test'))
    other.write_text(f"_base_ = '{config_file}'\nsplit = {split}\n{loaders}")
    further = [(str(other), {})]
    with pytest.raises(UserError, match=r'`other` and the recipe have different clips.*--cfg-options split\.protocol'):
        plan_full(compare_with=further)
    held_out = {'split.protocol': 'videowise', 'train_dataloader.dataset.subset': 'train'}
    with pytest.raises(UserError, match=r'train_dataloader\.dataset\.subset is .train., but the validation sets it'):
        plan_full(options=held_out, validation_folds=[0])
    with pytest.raises(UserError, match='`other` is the name of two rows'):
        plan_full(baseline=str(other), compare_with=further)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ("model = dict(type='DistilledRecognizer2D', teachers=['gone.pth'])", r'the teacher gone\.pth is missing'),
        ("pretraining = dict(config='gone.py')", r'pretraining\.config is gone\.py, and there is no'),
    ],
)
def test_missing_input_of_a_later_row_is_refused_before_the_first_training(
    config_file, plan_full, tmp_path, content, message
):
    other = tmp_path / 'other.py'
    other.write_text(f"_base_ = '{config_file}'\n{content}\n")
    with pytest.raises(UserError, match=message):
        plan_full(compare_with=[(str(other), {})])


def test_validation_does_not_read_the_test(config_file, plan_full, tmp_path):
    (job,) = plan_full(options={'split.protocol': 'videowise'}, validation_folds=[0]).jobs
    config = read_config(config_file, options=job.options)
    assert [dataset.subset for dataset in datasets(config)] == ['fit', 'validation', 'validation']
    stock = tmp_path / 'stock.py'
    clips = "dict(_delete_=True, type='VideoDataset', ann_file='list.txt', pipeline=[])"
    stock.write_text(f"_base_ = '{config_file}'\ntest_dataloader = dict(dataset={clips})\n")
    with pytest.raises(UserError, match='VideoDataset of test_dataloader has no subset to hold out'):
        plan_full(file=str(stock), validation_folds=[0])


@pytest.fixture(scope='module')
def config_of_groups(tmp_path_factory):
    """A config with train clips of five groups."""
    folder = tmp_path_factory.mktemp('groups')
    return str(write_config(folder, write_data(folder, groups=(1, 8, 9, 10, 11, 12))))


def test_validation_folds_are_separate_trainings(config_of_groups, plan_full):
    """Each has other clips. Fold 0 is that of a single validation."""
    plan = plan_full([0, 3], config_of_groups, validation_folds=range(5))
    assert [job.name for job in plan.jobs[4:6]] == ['the recipe, seed 0, fold 4', 'the recipe, seed 3, fold 0']
    assert len({job.folder for job in plan.jobs}) == len({job.config_digests for job in plan.jobs}) == 10
    of_seed = plan.rows[0].jobs[3]
    assert len({job.clips for job in of_seed}) == 5
    assert [job.clips for job in of_seed] == [job.clips for job in plan.rows[0].jobs[0]]
    (single,) = plan_full([3], config_of_groups, validation_folds=[0]).jobs
    assert (single.folder, single.config_digests) == (of_seed[0].folder, of_seed[0].config_digests)
    for number, job in enumerate(of_seed):
        for dataset in datasets(read_config(config_of_groups, options=job.options)):
            assert dataset.get('validation_fold', 0) == number and dataset.subset in ('fit', 'validation')


def test_weights_that_have_seen_a_later_fold_are_refused_before_the_first_training(
    config_of_groups, plan_full, tmp_path
):
    (fit,) = plan_full(file=config_of_groups, validation_folds=[0]).jobs
    clips = clips_of(build_without_videos(read_config(fit.config, options=fit.options), 'train_dataloader'))
    seen = [['/'.join(Path(clip.path).parts[-2:]), clip.group, clip.sha256] for clip in clips]
    torch.save({'meta': {'clips_seen': seen}, 'state_dict': {}}, tmp_path / 'before.pth')
    options = {'load_from': str(tmp_path / 'before.pth')}
    plan_full(file=config_of_groups, options=options, validation_folds=[0])
    with pytest.raises(UserError, match=r'before\.pth was trained on 3 of the 3 clips of .*validation fold, or leave'):
        plan_full(file=config_of_groups, options=options, validation_folds=[0, 1])


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        ({'flip': {'augmentation.flip': None}}, 'part flip is switched off by augmentation.flip, but'),
        ({'a': {'model.cls_head.dropout': 0}}, r'has no such variable\. Correct the list'),
        ({'a': {'param_scheduler.7.end': 0}}, r'has no such variable\. Correct the list'),
        ({'a': {'model.cls_head.dropout_ratio': 0.5}}, r'that is its value in .*\. Name a list of its own'),
    ],
)
def test_part_that_does_not_change_the_recipe_is_refused(config_file, tmp_path, parts, message):
    with pytest.raises(UserError, match=message):
        plan_ablation(config_file, parts, [0], tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'lists no parts'),
        ('- a', 'lists no parts'),
        ('a: [', 'is not YAML'),
        ('a/b: {c: 0}', "part 'a/b' has an invalid name"),
        ('a: 0', 'part a is 0. Give the options'),
        ('a: {}', 'part a is {}. Give the options'),
    ],
)
def test_invalid_list_of_parts_is_refused(tmp_path, content, message):
    (tmp_path / 'parts.yaml').write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read_parts(tmp_path / 'parts.yaml')


def test_part_lists_of_the_package_fit_their_recipes():
    for file in (REPOSITORY / 'configs').glob('*/*parts.yaml'):
        recipe = str(file.with_name('tvn1_ucf50.py'))
        assert plan_ablation(recipe, read_parts(file), [], REPOSITORY, kind='full').jobs == []


def test_default_teachers_are_where_ablate_trains_them():
    recipes = REPOSITORY / 'configs/recipes'
    teachers = read_config(recipes / 'tvn1_distilled_ucf50.py').model.teachers
    row = Path('work_dirs', f'ablation_{config_name(recipes / "tvn1_ucf50.py")}', row_folder((), ()))
    assert [Path(file) for file in teachers] == [row / f'seed{seed}/epoch_40.pth' for seed in range(3)]


@pytest.fixture
def planted(config_file, tmp_path) -> tuple:
    """An ablation of two parts and three seeds, with one training missing, and its correct clips by row and seed."""
    plan = plan_ablation(config_file, dict(list(PARTS.items())[:2]), [0, 1, 2], tmp_path, kind='add')
    chance = {'no part': 0.3, '+ dropout': 0.6, '+ decay = the recipe': 0.9}
    generator, right = np.random.default_rng(0), {}
    for row in plan.rows:
        for seed, (job,) in row.jobs.items():
            if row.name != 'no part' or seed < 2:
                right[row.name, seed] = generator.random(24) < chance[row.name]
                plant(job, right[row.name, seed], [str(clip // 4) for clip in range(24)])
    return plan, right


def test_record_of_planted_results(planted):
    plan, right = planted
    record = collect_ablation(plan)
    assert record == Ablation.load(plan.folder / 'ablation.json')
    assert record.missing == ['no part, seed 2'] and [len(row.runs) for row in record.rows] == [2, 3, 3]
    names = [row.name for row in record.rows]
    by_row = {name: np.stack([part for (row, _), part in right.items() if row == name]) for name in names}
    clips = np.arange(24)
    videos = [f'{"AB"[clip % 2]} {clip // 4}' for clip in clips]
    for row in record.rows:
        right = by_row[row.name]
        values = right.mean(1)
        assert row.over_seeds('top1') == pytest.approx((values.mean(), values.std(ddof=1)))
        assert row.runs[0].epoch_seconds == 3.0 and row.gmacs_per_video == 1.5
        of_class = {name: right[:, clips % 2 == label] for label, name in enumerate('AB')}
        assert row.class_top1 == pytest.approx({name: found.mean() for name, found in of_class.items()})
        wrong = {name: int((~found).sum()) for name, found in of_class.items() if not found.all()}
        assert {pair['true']: pair['clips'] for pair in row.confused} == wrong
        recognised = {video for video, found in zip(videos, right.any(0), strict=True) if found}
        assert row.never_right == sorted(set(videos) - recognised)
    p_values = [paired_p_value(by_row[name], by_row[other], videos) for other, name in pairwise(names)]
    assert record.rows[0].difference is None
    for (other, row), p_value, corrected in zip(
        pairwise(record.rows), p_values, false_discovery_control(p_values), strict=True
    ):
        assert (row.difference.against, row.difference.p_value) == (other.name, p_value)
        assert row.difference.p_corrected == pytest.approx(corrected)
        assert row.difference.top1 == pytest.approx(by_row[row.name].mean() - by_row[other.name].mean())
    for plot in ('ablation.png', 'curves.png'):
        assert (plan.folder / plot).is_file()


def test_description_names_all_machines(planted):
    plan, _ = planted
    (job,) = plan.rows[1].jobs[1]
    result = job.result()
    replace(result, environment={**result.environment, 'device': 'H200'}).save(job.folder / 'result.json')
    assert f'Times on {result.environment["device"]} and H200, ' in describe_ablation(collect_ablation(plan))


def test_results_on_different_clips_are_refused(planted):
    plan, _ = planted
    plant(plan.rows[1].jobs[0][0], np.ones(24, bool), split_fold=3)
    with pytest.raises(UserError, match='the rows differ in their split_fold'):
        collect_ablation(plan)


def test_planted_folds_are_pooled(config_of_groups, plan_full):
    """A seed is one run over the clips of all folds. A seed without one of its folds is missing."""
    further = [(config_of_groups, {'model.mark': 1})]
    plan = plan_full([0, 1], config_of_groups, compare_with=further, validation_folds=[1, 4])
    generator, right = np.random.default_rng(0), {}
    for place, row in enumerate(plan.rows):
        for seed, folds in row.jobs.items():
            for number, job in zip((1, 4), folds, strict=True):
                if (place, seed, number) != (0, 1, 4):
                    right[place, seed, number] = generator.random(12 * number) < (0.5, 0.9)[place]
                    plant(job, right[place, seed, number], [f'{number} {clip // 4}' for clip in range(12 * number)])
    record = collect_ablation(plan)
    assert record == Ablation.load(plan.folder / 'ablation.json')
    assert record.validation_folds == [1, 4] and record.protocol.test_clips == 12 + 48
    assert [[run.seed for run in row.runs] for row in record.rows] == [[0], [0, 1]]
    assert record.missing == ['the recipe, seed 1']
    one, other = (
        np.stack([np.concatenate([right[place, seed, number] for number in (1, 4)]) for seed in seeds])
        for place, seeds in ((0, [0]), (1, [0, 1]))
    )
    assert [run.top1 for run in record.rows[1].runs] == pytest.approx(other.mean(1))
    assert record.rows[0].runs[0].top1 == pytest.approx(one.mean())
    videos = [f'{"AB"[clip % 2]} {number} {clip // 4}' for number in (1, 4) for clip in range(12 * number)]
    assert record.rows[1].difference.p_value == paired_p_value(other, one, videos)
    text = describe_ablation(record)
    assert 'a seed is 2 trainings' in text and 'folds (1, 4) and measured on that fold, 60 test clips in total' in text
    assert 'Unfinished, not included: seed 1 of the recipe.' in text
