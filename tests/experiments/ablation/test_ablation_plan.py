"""Which trainings an ablation takes, and what planted results of them say together."""

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
from tvn_mmaction.config.dataset_building import build_without_videos
from tvn_mmaction.config.loading import datasets, read_config
from tvn_mmaction.evaluation.provenance import clips_of
from tvn_mmaction.experiments.ablation.ablation_plan import collect, folder_of, plan, read_parts, rows_of
from tvn_mmaction.experiments.ablation.ablation_record import Ablation, describe_ablation, paired_p_value
from tvn_mmaction.utils.errors import UserError

PARTS = {
    'dropout': {'model.cls_head.dropout_ratio': 0},
    'decay': {'optim_wrapper.optimizer.weight_decay': 0, 'optim_wrapper.clip_grad': None},
    'warm_up': {'param_scheduler.0.start_factor': 1},
}


@pytest.fixture(scope='module')
def config_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ablation')
    return str(write_config(folder, write_data(folder)))


def test_rows_add_part_after_part_and_then_leave_one_out():
    adding = [
        ('no part', None, ['a', 'b', 'c']),
        ('+ a', None, ['b', 'c']),
        ('+ b', None, ['c']),
        ('+ c = the recipe', None, []),
    ]
    leaving = [(f'without {part}', '+ c = the recipe', [part]) for part in 'abc']
    assert rows_of('abc') == adding + leaving
    assert rows_of('abc', 'adding') == adding
    assert rows_of('abc', 'leaving') == [('the recipe', None, [])] + [(n, 'the recipe', o) for n, _, o in leaving]
    assert rows_of([], 'full') == [('the recipe', None, [])]


def test_folder_says_which_parts_are_on():
    folders = [folder_of(off, 'abcde') for off in ('', 'c', 'de', 'bcde', 'abcde')]
    assert folders == ['recipe', 'without_c', 'without_d_e', 'only_a', 'no_part']
    every = {folder_of([part for part in 'abcd' if number >> 'abcd'.index(part) & 1], 'abcd') for number in range(16)}
    assert len(every) == 16


def test_rows_of_the_same_parts_share_their_training(config_file, tmp_path):
    planned = plan(config_file, PARTS, [3, 5], tmp_path)
    by_name = {row.name: row.jobs for row in planned.rows}
    assert by_name['+ decay'][3][0].folder == by_name['without warm_up'][3][0].folder
    assert len(planned.rows) == 7 and len(planned.jobs) == 2 * 6
    assert [job.name for job in planned.jobs[:2]] == ['no part, seed 3', '+ dropout, seed 3']
    assert len({job.config_digests for job in planned.jobs}) == 12


def test_options_of_a_row_switch_its_parts_off(config_file, tmp_path):
    planned = plan(config_file, PARTS, [3], tmp_path, options={'train_cfg.max_epochs': 4}, only='leaving')
    ((job,),) = (row.jobs[3] for row in planned.rows if row.name == 'without decay')
    config = read_config(job.config, options=job.options)
    assert config.optim_wrapper.optimizer.weight_decay == 0 and config.optim_wrapper.clip_grad is None
    assert config.model.cls_head.dropout_ratio == 0.5 and config.randomness.seed == 3
    assert config.train_cfg.max_epochs == job.epochs == 4


@pytest.mark.parametrize('only', [None, 'adding', 'leaving', 'full'])
def test_rows_beside_are_compared_with_the_recipe(config_file, tmp_path, only):
    """Other configs stand behind all rows, without the recipe's parts, under the options of all rows."""
    (tmp_path / 'other.py').write_text(f"_base_ = '{config_file}'\n")
    beside = [(str(tmp_path / 'other.py'), {})]
    planned = plan(config_file, PARTS, [3], tmp_path, only=only, options={'train_cfg.max_epochs': 4}, beside=beside)
    *_, row = planned.rows
    (recipe,) = (one for one in planned.rows if one.name == row.against)
    assert (row.name, row.options, row.jobs[3][0].config) == ('`other`', {}, beside[0][0])
    assert recipe.options == {} and recipe.config == config_file
    assert row.jobs[3][0].epochs == recipe.jobs[3][0].epochs == 4
    assert len({one.jobs[3][0].folder for one in planned.rows}) == len({job.folder for job in planned.jobs})


def test_options_behind_a_config_beside_change_its_row_alone(config_file, tmp_path):
    beside = [(config_file, {'train_cfg.max_epochs': 6}), (config_file, {'train_cfg.max_epochs': 7})]
    planned = plan(config_file, {}, [3], tmp_path, only='full', options={'train_cfg.max_epochs': 4}, beside=beside)
    name = f'`{Path(config_file).stem}`'
    assert [row.jobs[3][0].epochs for row in planned.rows] == [4, 6, 7]
    assert [row.name for row in planned.rows[1:]] == [f'{name}, train_cfg.max_epochs={n}' for n in (6, 7)]
    assert len({row.jobs[3][0].folder for row in planned.rows}) == 3


@pytest.mark.parametrize('mark', ['x/1', 'x_1', 'ü/1', 'a-long-value' * 30])
def test_every_row_beside_has_a_folder_of_its_own(config_file, tmp_path, mark):
    """Also where the name of a folder has no place for what tells two rows apart."""
    beside = [(config_file, {'model.mark': value}) for value in (mark, mark.replace('/', '_') + '2')]
    planned = plan(config_file, {}, [3], tmp_path, only='full', beside=[*beside, (config_file, {'model.mark': 'x:1'})])
    folders = {row.jobs[3][0].folder for row in planned.rows}
    assert len(folders) == 4
    for folder in folders:
        folder.mkdir(parents=True)


def test_rows_that_could_not_be_compared_are_told_before_any_training(config_file, tmp_path):
    other = tmp_path / 'other.py'
    split = "dict(protocol='videowise', fold=0, seed=7)"
    loaders = ''.join(f'{kind}_dataloader = dict(dataset={split})\n' for kind in ('train', 'val', 'test'))
    other.write_text(f"_base_ = '{config_file}'\nsplit = {split}\n{loaders}")
    with pytest.raises(UserError, match=r'`other` and the recipe have other clips.*--cfg-options split\.protocol'):
        plan(config_file, {}, [0], tmp_path, only='full', beside=[(str(other), {})])
    held_out = {'split.protocol': 'videowise', 'train_dataloader.dataset.subset': 'train'}
    with pytest.raises(UserError, match=r'train_dataloader\.dataset\.subset is .train., and the validation sets it'):
        plan(config_file, {}, [0], tmp_path, only='full', options=held_out, validation_folds=[0])
    with pytest.raises(UserError, match='`other` is the name of two configs'):
        plan(config_file, {}, [0], tmp_path, only='full', plain=str(other), beside=[(str(other), {})])


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        ("model = dict(type='DistilledRecognizer2D', teachers=['gone.pth'])", r'the teacher gone\.pth is not there'),
        ("pretraining = dict(config='gone.py')", r'pretraining\.config is gone\.py, and there is no'),
    ],
)
def test_what_a_later_row_lacks_is_told_before_the_first_training(config_file, tmp_path, content, told):
    other = tmp_path / 'other.py'
    other.write_text(f"_base_ = '{config_file}'\n{content}\n")
    with pytest.raises(UserError, match=told):
        plan(config_file, {}, [0], tmp_path, only='full', beside=[(str(other), {})])


def test_test_clips_are_not_looked_at_between_epochs(config_file, tmp_path):
    (row,) = plan(config_file, {}, [0], tmp_path, only='full').rows
    config = read_config(config_file, options=row.jobs[0][0].options)
    assert config.val_cfg is None and config.val_dataloader is None and config.val_evaluator is None
    assert [dataset.subset for dataset in datasets(config)] == ['train', 'test']


def test_validation_leaves_the_test_alone(config_file, tmp_path):
    options = {'split.protocol': 'videowise'}
    (row,) = plan(config_file, {}, [0], tmp_path, only='full', options=options, validation_folds=[0]).rows
    config = read_config(config_file, options=row.jobs[0][0].options)
    assert [dataset.subset for dataset in datasets(config)] == ['fit', 'validation', 'validation']
    stock = tmp_path / 'stock.py'
    clips = "dict(_delete_=True, type='VideoDataset', ann_file='list.txt', pipeline=[])"
    stock.write_text(f"_base_ = '{config_file}'\ntest_dataloader = dict(dataset={clips})\n")
    with pytest.raises(UserError, match='VideoDataset of test_dataloader has no subset to hold out'):
        plan(str(stock), {}, [0], tmp_path, only='full', validation_folds=[0])


@pytest.fixture(scope='module')
def config_of_groups(tmp_path_factory):
    """A config whose train clips are of five groups."""
    folder = tmp_path_factory.mktemp('groups')
    return str(write_config(folder, write_data(folder, groups=(1, 8, 9, 10, 11, 12))))


def test_validation_folds_are_trainings_of_their_own(config_of_groups, tmp_path):
    """Each on other clips; fold 0 is that of a single validation."""
    planned = plan(config_of_groups, {}, [0, 3], tmp_path, only='full', validation_folds=range(5))
    assert [job.name for job in planned.jobs[4:6]] == ['the recipe, seed 0, fold 4', 'the recipe, seed 3, fold 0']
    assert len({job.folder for job in planned.jobs}) == len({job.config_digests for job in planned.jobs}) == 10
    of_seed = planned.rows[0].jobs[3]
    assert len({job.clips for job in of_seed}) == 5
    for job, other in zip(of_seed, planned.rows[0].jobs[0], strict=True):
        assert job.clips == other.clips
    single = plan(config_of_groups, {}, [3], tmp_path, only='full', validation_folds=[0]).jobs[0]
    assert (single.folder, single.config_digests) == (of_seed[0].folder, of_seed[0].config_digests)
    for number, job in enumerate(of_seed):
        for dataset in datasets(read_config(config_of_groups, options=job.options)):
            assert dataset.get('validation_fold', 0) == number and dataset.subset in ('fit', 'validation')


def test_weights_that_have_seen_a_later_fold_are_told_before_the_first_training(config_of_groups, tmp_path):
    fit, *_ = plan(config_of_groups, {}, [0], tmp_path, only='full', validation_folds=[0]).jobs
    clips = clips_of(build_without_videos(read_config(fit.config, options=fit.options), 'train_dataloader'))
    seen = [['/'.join(Path(clip.path).parts[-2:]), clip.group, clip.sha256] for clip in clips]
    torch.save({'meta': {'clips_seen': seen}, 'state_dict': {}}, tmp_path / 'before.pth')
    options = {'load_from': str(tmp_path / 'before.pth')}
    plan(config_of_groups, {}, [0], tmp_path, only='full', options=options, validation_folds=[0])
    with pytest.raises(UserError, match=r'before\.pth was trained on 3 of the 3 clips of .*validation fold, or leave'):
        plan(config_of_groups, {}, [0], tmp_path, only='full', options=options, validation_folds=[0, 1])


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        ({'flip': {'augmentation.flip': None}}, 'part flip is switched off by augmentation.flip, and'),
        ({'a': {'model.cls_head.dropout': 0}}, 'has no such variable: correct the list'),
        ({'a': {'param_scheduler.7.end': 0}}, 'has no such variable: correct the list'),
        ({'a': {'model.cls_head.dropout_ratio': 0.5}}, 'which .* has already: name a list of its own'),
    ],
)
def test_part_that_is_not_in_the_recipe_is_refused(config_file, tmp_path, parts, message):
    with pytest.raises(UserError, match=message):
        plan(config_file, parts, [0], tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'lists no parts'),
        ('- a', 'lists no parts'),
        ('a: [', 'is no YAML'),
        ('a/b: {c: 0}', "part 'a/b' has a name"),
        ('a: 0', 'part a is 0; give the options'),
        ('a: {}', 'part a is {}; give the options'),
    ],
)
def test_list_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / 'parts.yaml').write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read_parts(tmp_path / 'parts.yaml')
    with pytest.raises(UserError, match='no list of parts at nowhere'):
        read_parts('nowhere')


def test_parts_of_the_recipe_are_all_in_it():
    """None of the package's own would leave the recipe as it is."""
    for file in (REPOSITORY / 'configs').glob('*/*parts.yaml'):
        assert plan(str(file.with_name('tvn1_ucf50.py')), read_parts(file), [], REPOSITORY, only='full').jobs == []


def test_training_of_a_row_is_with_its_pretraining(config_file, tmp_path):
    planned = plan(config_file, {}, [0], tmp_path, only='full')
    (job,) = planned.jobs
    plant(job, np.ones(24, bool), [str(clip // 4) for clip in range(24)])
    alone = collect(planned).rows[0].runs[0]
    result = job.result()
    replace(result, costs={**result.costs, 'pretraining_seconds': 7.0}).save(job.folder / 'result.json')
    assert collect(planned).rows[0].runs[0] == replace(alone, train_seconds=alone.train_seconds + 7)


def planted(config_file, folder) -> tuple:
    """Return an ablation of two parts and three seeds, of which one training is missing, and what was planted."""
    planned = plan(config_file, dict(list(PARTS.items())[:2]), [0, 1, 2], folder, only='adding', plain=None)
    chance = {'no part': 0.3, '+ dropout': 0.6, '+ decay = the recipe': 0.9}
    generator, right = np.random.default_rng(0), {}
    for row in planned.rows:
        for seed, (job,) in row.jobs.items():
            if row.name != 'no part' or seed < 2:
                right[row.name, seed] = generator.random(24) < chance[row.name]
                plant(job, right[row.name, seed], [str(clip // 4) for clip in range(24)])
    return planned, right


def test_planted_results_say_what_they_are(config_file, tmp_path):
    planned, right = planted(config_file, tmp_path)
    record = collect(planned)
    assert record == Ablation.load(tmp_path / 'ablation.json')
    assert record.missing == ['no part, seed 2'] and [len(row.runs) for row in record.rows] == [2, 3, 3]
    by_row = {
        row.name: np.stack([part for (name, _), part in right.items() if name == row.name]) for row in record.rows
    }
    for row in record.rows:
        values = by_row[row.name].mean(1)
        assert row.over_seeds('top1') == pytest.approx((values.mean(), values.std(ddof=1)))
        assert row.runs[0].epoch_seconds == 3.0 and row.gmacs_per_video == 1.5
    assert record.rows[0].difference is None
    videos = [f'{"AB"[clip % 2]} {clip // 4}' for clip in range(24)]
    names = list(by_row)
    p_values = [paired_p_value(by_row[name], by_row[other], videos) for other, name in pairwise(names)]
    for row, other, p_value, corrected in zip(
        record.rows[1:], names[:-1], p_values, false_discovery_control(p_values), strict=True
    ):
        assert (row.difference.against, row.difference.p_value) == (other, p_value)
        assert row.difference.p_corrected == pytest.approx(corrected)
        assert row.difference.top1 == pytest.approx(by_row[row.name].mean() - by_row[other].mean())
    clips = np.arange(24)
    for row in record.rows:
        right = by_row[row.name]
        assert row.class_top1 == pytest.approx(
            {name: right[:, clips % 2 == label].mean() for label, name in enumerate('AB')}
        )
        wrong = {
            f'{true}{other}': int((~right[:, clips % 2 == label]).sum())
            for label, (true, other) in enumerate(('AB', 'BA'))
        }
        assert {f'{pair["true"]}{pair["predicted"]}': pair['clips'] for pair in row.confused} == {
            pair: count for pair, count in wrong.items() if count
        }
        assert row.never_right == sorted(
            {video for video in videos if not right[:, [other == video for other in videos]].any()}
        )
    for picture in ('ablation.png', 'curves.png'):
        assert (tmp_path / picture).is_file()


def test_rows_of_other_clips_do_not_compare(config_file, tmp_path):
    planned, _ = planted(config_file, tmp_path)
    plant(planned.rows[1].jobs[0][0], np.ones(24, bool), split_fold=3)
    with pytest.raises(UserError, match='the rows differ in their split_fold'):
        collect(planned)


def test_planted_folds_are_measured_together(config_of_groups, tmp_path):
    """A seed is one run over the clips of all folds; one that lacks a fold does not count, and is told."""
    beside = [(config_of_groups, {'model.mark': 1})]
    planned = plan(config_of_groups, {}, [0, 1], tmp_path, only='full', beside=beside, validation_folds=[1, 4])
    generator, right = np.random.default_rng(0), {}
    for place, row in enumerate(planned.rows):
        for seed, folds in row.jobs.items():
            for number, job in zip((1, 4), folds, strict=True):
                if (place, seed, number) != (0, 1, 4):
                    right[place, seed, number] = generator.random(12 * number) < (0.5, 0.9)[place]
                    plant(job, right[place, seed, number], [f'{number} {clip // 4}' for clip in range(12 * number)])
    record = collect(planned)
    assert record == Ablation.load(tmp_path / 'ablation.json')
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
    told = describe_ablation(record)
    assert 'a seed is 2 trainings' in told and 'folds (1, 4), measured on that fold, 60 test clips in all' in told
    assert 'Not finished and not in it: seed 1 of the recipe.' in told


def test_all_machines_are_told(config_file, tmp_path):
    planned, _ = planted(config_file, tmp_path)
    (job,) = planned.rows[1].jobs[1]
    result = job.result()
    replace(result, environment={**result.environment, 'device': 'H200'}).save(job.folder / 'result.json')
    assert f'Times on {result.environment["device"]} and H200, ' in describe_ablation(collect(planned))


def test_nothing_is_finished(config_file, tmp_path):
    assert collect(plan(config_file, PARTS, [0], tmp_path)) is None
