"""Which trials a search has, and what planted results of them say together."""

import json
import re

import numpy as np
import pytest

from tests.experiments.planted_trainings import plant
from tests.small_experiment import write_config, write_data
from tvn_mmaction.config.loading import datasets, read_config
from tvn_mmaction.experiments.sweep.sweep_plan import STOPPED, choices, collect, plan, read_space
from tvn_mmaction.experiments.sweep.sweep_record import Sweep, describe_sweep
from tvn_mmaction.utils.errors import UserError

LR, DROPOUT = 'optim_wrapper.optimizer.lr', 'model.cls_head.dropout_ratio'


@pytest.fixture(scope='module')
def config_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sweep')
    file = write_config(folder, write_data(folder))
    file.write_text(file.read_text().replace('ucf101like', 'videowise'))  # whose validation needs no five groups
    return str(file)


def test_grid_is_whole_and_samples_are_some_of_it():
    space = {LR: [0.1, 0.01], DROPOUT: [0.2, 0.5, 0.8]}
    whole = choices(space, None)
    assert len(whole) == 6 and all(list(choice) == [LR, DROPOUT] for choice in whole)
    some = choices(space, 4)
    assert len(some) == 4 and all(choice in whole for choice in some)
    assert sorted(map(str, choices(space, 100))) == sorted(map(str, whole))


def test_draws_are_within_their_bounds_and_the_same_each_time():
    space = {LR: {'loguniform': [0.001, 0.1]}, DROPOUT: {'uniform': [0.2, 0.3]}, 'epochs': {'randint': [3, 4]}}
    drawn = choices(space, 50)
    assert drawn == choices(space, 50) and len(drawn) == 50
    assert all(0.001 <= choice[LR] <= 0.1 and 0.2 <= choice[DROPOUT] <= 0.3 for choice in drawn)
    assert {choice['epochs'] for choice in drawn} == {3, 4}
    assert 15 < sum(choice[LR] < 0.01 for choice in drawn) < 35  # as many below the middle of the decades
    assert {type(value) for choice in drawn for value in choice.values()} == {float, int}
    assert all(len(str(choice[DROPOUT])) <= 6 for choice in drawn)
    with pytest.raises(UserError, match='say with --samples how many'):
        choices(space, None)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'searches nothing'),
        ('a: [', 'is no YAML'),
        ('a b: [1]', "'a b' is no option"),
        ('a: 3', 'a is 3; give a list of values'),
        ('a: []', 'a is []; give a list of values'),
        ('a: {normal: [0, 1]}', 'one of uniform, loguniform, randint'),
        ('a: {uniform: [1, 0]}', 'a lower and an upper bound'),
        ('a: {randint: [0.5, 3]}', 'both bounds of a randint are whole numbers'),
        ('a: {loguniform: [0, 1]}', 'both bounds of a loguniform are above 0'),
    ],
)
def test_space_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / 'space.yaml').write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read_space(tmp_path / 'space.yaml')


def test_numbers_with_an_exponent_alone_are_numbers(tmp_path):
    """As in YAML 1.2, and not in the 1.1 of PyYAML."""
    (tmp_path / 'space.yaml').write_text('a: [1e-3, -2E+2, 1.5e-1]\nb: {loguniform: [1e-4, 1e-1]}\nc: [e1, 1e]')
    space = read_space(tmp_path / 'space.yaml')
    assert space == {'a': [0.001, -200.0, 0.15], 'b': {'loguniform': [0.0001, 0.1]}, 'c': ['e1', '1e']}


def test_values_of_a_grid_are_taken_as_they_are():
    values = [0.99995, 0.99999, 0.0123456]
    assert [choice[LR] for choice in choices({LR: values}, None)] == values


def test_trials_of_options_with_one_last_name_have_names_of_their_own(config_file, tmp_path):
    other = 'param_scheduler.0.end'
    planned = plan(config_file, {other: [1, 2], 'param_scheduler.1.end': [1, 2], LR: [0.1]}, None, tmp_path)
    assert len({trial.job.name for trial in planned.trials}) == 4
    assert planned.trials[0].job.name == 'param_scheduler.0.end=1 param_scheduler.1.end=1 lr=0.1'


def test_trials_never_read_the_test(config_file, tmp_path):
    planned = plan(config_file, {DROPOUT: [0.2, 0.8]}, None, tmp_path, options={'train_cfg.max_epochs': 4})
    for trial in planned.trials:
        config = read_config(config_file, options=trial.job.options)
        assert [dataset.subset for dataset in datasets(config)] == ['fit', 'validation', 'validation']
        assert config.model.cls_head.dropout_ratio == trial.options[DROPOUT]
    assert [trial.job.name for trial in planned.trials] == ['dropout_ratio=0.2', 'dropout_ratio=0.8']
    again = plan(config_file, {DROPOUT: [0.8]}, None, tmp_path, options={'train_cfg.max_epochs': 4})
    assert again.trials[0].job == planned.trials[1].job
    with pytest.raises(UserError, match=r'^test_dataloader\.dataset\.subset is .*test.*, and .* leave it out'):
        plan(config_file, {'test_dataloader.dataset.subset': ['test']}, None, tmp_path)
    with pytest.raises(UserError, match='it is what is searched; leave one of the two out'):
        plan(config_file, {DROPOUT: [0.8]}, None, tmp_path, options={DROPOUT: 0.5})


def test_planted_results_say_what_they_are(config_file, tmp_path):
    planned = plan(config_file, {LR: [0.1, 0.01, 0.001], DROPOUT: [0.5]}, None, tmp_path)
    assert collect(planned) is None
    folders = [trial.job.folder for trial in planned.trials]
    for trial, hits in zip(planned.trials[:2], (3, 6), strict=True):
        plant(trial.job, np.arange(8) < hits, subset='validation')
    folders[2].mkdir()
    history = [
        {'epoch': 1, 'loss': 1.0, 'train_seconds': 5.0, 'validation_top1': 0.9},
        {'epoch': 2, 'train_seconds': 5.0},
    ]
    (folders[2] / 'history.json').write_text(json.dumps(history))
    assert collect(planned).missing == ['lr=0.001 dropout_ratio=0.5']
    (folders[2] / STOPPED).touch()
    record = collect(planned)
    assert record == Sweep.load(tmp_path / 'sweep.json') and not record.missing
    assert [trial.options[LR] for trial in record.trials] == [0.01, 0.1, 0.001]  # one that was stopped is no choice
    assert [(trial.top1, trial.stopped) for trial in record.trials] == [(0.75, False), (0.375, False), (0.9, True)]
    assert record.trials[2].epochs == 1 and record.trials[2].train_seconds == 10
    assert (record.train_clips, record.validation_clips) == (6, 3)
    described = describe_sweep(record)
    assert '3 trials, 2 of them with all 2 epochs' in described and '(stopped)' in described
    assert (tmp_path / 'sweep.png').is_file()
