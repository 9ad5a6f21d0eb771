"""Planned trials of a sweep, and its record of planted results."""

import json
import re

import numpy as np
import pytest

from tests.experiments.planted_trainings import plant
from tvn_mmaction.config.loaders import datasets
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.experiments.sweep.sweep_plan import STOPPED, collect_sweep, expand_space, plan_sweep, read_space
from tvn_mmaction.experiments.sweep.sweep_record import Sweep, describe_sweep
from tvn_mmaction.utils.errors import UserError

LR, DROPOUT = 'optim_wrapper.optimizer.lr', 'model.cls_head.dropout_ratio'


@pytest.fixture(scope='module')
def config_file(folder):
    file = folder / 'tiny.py'
    file.write_text(file.read_text().replace('ucf101like', 'videowise'))  # whose validation needs no five groups
    return str(file)


def test_samples_are_a_part_of_the_grid():
    space = {LR: [0.1, 0.01], DROPOUT: [0.2, 0.5, 0.8]}
    grid = expand_space(space, None)
    assert len(grid) == 6 and all(list(choice) == [LR, DROPOUT] for choice in grid)
    samples = expand_space(space, 4)
    assert len(samples) == 4 and all(choice in grid for choice in samples)
    assert sorted(map(str, expand_space(space, 100))) == sorted(map(str, grid))
    values = [0.99995, 0.99999, 0.0123456]
    assert [choice[LR] for choice in expand_space({LR: values}, None)] == values  # not rounded


def test_samples_of_distributions_are_bounded_and_reproducible():
    space = {LR: {'loguniform': [0.001, 0.1]}, DROPOUT: {'uniform': [0.2, 0.3]}, 'epochs': {'randint': [3, 4]}}
    samples = expand_space(space, 50)
    assert samples == expand_space(space, 50) and len(samples) == 50
    assert all(0.001 <= choice[LR] <= 0.1 and 0.2 <= choice[DROPOUT] <= 0.3 for choice in samples)
    assert {choice['epochs'] for choice in samples} == {3, 4}
    assert 15 < sum(choice[LR] < 0.01 for choice in samples) < 35  # half of them below the logarithmic mean
    assert {type(value) for choice in samples for value in choice.values()} == {float, int}
    assert all(len(str(choice[DROPOUT])) <= 6 for choice in samples)
    with pytest.raises(UserError, match='Give the number of trials with --samples'):
        expand_space(space, None)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'defines no search space'),
        ('a: [', 'is not YAML'),
        ('a b: [1]', "'a b' is not an option"),
        ('a: 3', 'a is 3. Give a list of values'),
        ('a: []', 'a is []. Give a list of values'),
        ('a: {normal: [0, 1]}', 'one of uniform, loguniform, randint'),
        ('a: {uniform: [1, 0]}', 'a lower and an upper bound'),
        ('a: {randint: [0.5, 3]}', 'Use whole numbers as bounds of a randint'),
        ('a: {loguniform: [0, 1]}', 'Use bounds above 0 for a loguniform'),
    ],
)
def test_invalid_space_is_refused(tmp_path, content, message):
    (tmp_path / 'space.yaml').write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read_space(tmp_path / 'space.yaml')


def test_exponents_without_a_point_are_numbers(tmp_path):
    """As in YAML 1.2, unlike in PyYAML's 1.1."""
    (tmp_path / 'space.yaml').write_text('a: [1e-3, -2E+2, 1.5e-1]\nb: {loguniform: [1e-4, 1e-1]}\nc: [e1, 1e]')
    space = read_space(tmp_path / 'space.yaml')
    assert space == {'a': [0.001, -200.0, 0.15], 'b': {'loguniform': [0.0001, 0.1]}, 'c': ['e1', '1e']}


def test_options_with_the_same_last_part_keep_their_full_names(config_file, tmp_path):
    space = {'param_scheduler.0.end': [1, 2], 'param_scheduler.1.end': [1, 2], LR: [0.1]}
    jobs = plan_sweep(config_file, space, None, tmp_path).jobs
    assert len({job.name for job in jobs}) == 4
    assert jobs[0].name == 'param_scheduler.0.end=1 param_scheduler.1.end=1 lr=0.1'


def test_trials_do_not_read_the_test(config_file, tmp_path):
    options = {'train_cfg.max_epochs': 4}
    plan = plan_sweep(config_file, {DROPOUT: [0.2, 0.8]}, None, tmp_path, options=options)
    for choice, job in zip(plan.choices, plan.jobs, strict=True):
        config = read_config(config_file, options=job.options)
        assert [dataset.subset for dataset in datasets(config)] == ['fit', 'validation', 'validation']
        assert config.model.cls_head.dropout_ratio == choice[DROPOUT]
    assert [job.name for job in plan.jobs] == ['dropout_ratio=0.2', 'dropout_ratio=0.8']
    assert plan_sweep(config_file, {DROPOUT: [0.8]}, None, tmp_path, options=options).jobs == plan.jobs[1:]
    with pytest.raises(UserError, match=r'^test_dataloader\.dataset\.subset is .*test.*, but .* Leave it out'):
        plan_sweep(config_file, {'test_dataloader.dataset.subset': ['test']}, None, tmp_path)
    with pytest.raises(UserError, match=r'the sweep searches this option\. Remove one of the two'):
        plan_sweep(config_file, {DROPOUT: [0.8]}, None, tmp_path, options={DROPOUT: 0.5})


def test_record_of_planted_results(config_file, tmp_path):
    plan = plan_sweep(config_file, {LR: [0.1, 0.01, 0.001], DROPOUT: [0.5]}, None, tmp_path)
    assert collect_sweep(plan) is None
    for job, hits in zip(plan.jobs[:2], (3, 6), strict=True):
        plant(job, np.arange(8) < hits, subset='validation')
    stopped = plan.jobs[2].folder
    stopped.mkdir()
    history = [
        {'epoch': 1, 'loss': 1.0, 'train_seconds': 5.0, 'validation_top1': 0.9},
        {'epoch': 2, 'train_seconds': 5.0},
    ]
    (stopped / 'history.json').write_text(json.dumps(history))
    assert collect_sweep(plan).missing == ['lr=0.001 dropout_ratio=0.5']
    (stopped / STOPPED).touch()
    record = collect_sweep(plan)
    assert record == Sweep.load(tmp_path / 'sweep.json') and not record.missing
    assert [trial.options[LR] for trial in record.trials] == [0.01, 0.1, 0.001]  # the stopped one is last
    assert [(trial.top1, trial.stopped) for trial in record.trials] == [(0.75, False), (0.375, False), (0.9, True)]
    assert record.trials[2].epochs == 1 and record.trials[2].train_seconds == 10
    assert (record.train_clips, record.validation_clips) == (6, 3)
    text = describe_sweep(record)
    assert '3 trials, 2 of them with all 2 epochs' in text and '(stopped)' in text
    assert (tmp_path / 'sweep.png').is_file()
