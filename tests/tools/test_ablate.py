"""`tools/ablate.py`: processes for what is not finished, a table for all that is, and misuse."""

import functools
import re

import pytest

from tests.small_experiment import REPOSITORY, call_tool, run_tool, write_config, write_data
from tvn_mmaction.experiments.ablation.ablation_record import Ablation
from tvn_mmaction.utils.errors import UserError

TOOL = REPOSITORY / 'tools/ablate.py'
PARTS = 'dropout: {model.cls_head.dropout_ratio: 0}\n'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ablate')
    write_config(folder, write_data(folder))
    (folder / 'plain.py').write_text("_base_ = 'tiny.py'\noptim_wrapper = dict(optimizer=dict(lr=0.001))\n")
    (folder / 'own.yaml').write_text(PARTS)
    (folder / 'foreign.yaml').write_text('flip: {augmentation.flip: null}\n')
    return folder


@pytest.fixture
def call(folder, monkeypatch):
    """Call the tool in this process."""
    monkeypatch.chdir(folder)
    return functools.partial(call_tool, TOOL, 'tiny.py')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--seeds', '1', '2', '1'], '--seeds: 1 is there twice; give each seed once'),
        (['--seeds', '-1'], '--seeds'),
        (['--seeds', 'x'], '--seeds: x: give whole numbers from 0'),
        (['--only', 'some'], "--only: invalid choice: 'some'"),
        (['--plain', 'tiny.py'], 'tiny.py is there twice'),
        (['--plain', 'nothing.py'], 'no config at nothing.py'),
        (['--plain', 'plain.py', '--beside', './plain.py'], 'plain.py is there twice'),
        (['--beside', 'plain.py', 'a=1', 'b=2', './plain.py', 'b=2', 'a=1'], 'plain.py is there twice'),
        (['--beside', 'nothing.py'], 'argument --beside: no config at nothing.py'),
        (['--beside', 'clip.size=72', 'plain.py'], '--beside clip.size=72: name the config first'),
        (['--beside', 'plain.py', 'a b=1'], 'argument --beside: a b=1: give KEY=VALUE'),
        (['--beside', 'plain.py', 'randomness.seed=3'], 'randomness.seed=3: use --seeds'),
        (['--cfg-options', 'randomness.seed=3'], 'randomness.seed=3: use --seeds'),
        (['--cfg-options', 'train_dataloader.dataset.subset=fit'], 'subset=fit: use --seeds and --validation'),
        (['--cfg-options', 'train_dataloader.dataset.validation_fold=1'], 'validation_fold=1: use --seeds and'),
        (['--validation-folds', '0-x'], '--validation-folds: 0-x: give numbers and ranges such as 0,3-7'),
        (['--validation', '--validation-folds', '0-4'], 'not allowed with argument --validation'),
        (['--address', 'auto'], 'Add --runner ray'),
        (['own.yaml', '--only', 'full'], 'own.yaml: --only full trains the recipe alone'),
    ],
)
def test_misuse_of_the_command_line_is_told(call, arguments, message, capsys):
    with pytest.raises(SystemExit, match='2'):
        call(*arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere.yaml'], 'no list of parts at nowhere.yaml'),
        (['foreign.yaml'], 'part flip is switched off by augmentation.flip, and tiny.py has no such variable'),
        ([], 'no list of parts at parts.yaml'),
        (['own.yaml', '--data-root', 'nowhere'], 'no manifest.csv in nowhere'),
        (['own.yaml', '--validation'], '5 folds of whole groups need 5 groups or more'),
        (
            ['own.yaml', '--validation-folds', '0-1', '--cfg-options', 'split.protocol=videowise'],
            'the validation, a fold of the clips that are trained on: there is no fold 1: the protocol has 1',
        ),
        (['own.yaml', '--cfg-options', 'augmentation.flip=None'], 'no such variable'),
    ],
)
def test_misuse_is_told(call, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        call(*arguments)


@pytest.mark.slow
def test_rows_are_trained_once_and_set_side_by_side(folder, call, capsys):
    """A second run trains nothing that is finished; the test is looked at once a training."""
    first = ('own.yaml', '--only', 'adding', '--plain', 'plain.py', '--workers', '2')
    process = run_tool(TOOL, 'tiny.py', *first, folder=folder)
    assert process.returncode == 0, process.stderr
    assert '3 of 3 trainings to run' in process.stderr
    record = Ablation.load(folder / 'work_dirs/ablation_tiny/ablation.json')
    assert [row.name for row in record.rows] == ['`plain`', 'no part', '+ dropout = the recipe']
    assert [row.config for row in record.rows] == ['plain', 'tiny', 'tiny']
    assert [row.difference and row.difference.against for row in record.rows] == [None, '`plain`', 'no part']
    assert record.protocol.subset == 'test' and record.protocol.test_clips == 6 and not record.missing
    history = (folder / 'work_dirs/ablation_tiny/no_part/seed0/history.json').read_text()
    assert '"epoch": 2' in history and 'test_top1' not in history
    times = {path: path.stat().st_mtime for path in folder.glob('work_dirs/ablation_tiny/*/seed0/result.json')}
    assert len(times) == 3
    assert call(*first) == 0
    assert '| + dropout = the recipe | 1 |' in capsys.readouterr().out
    assert {path: path.stat().st_mtime for path in times} == times
    with pytest.raises(UserError, match='holds the result of another configuration: name another --work-dir'):
        call(*first, '--cfg-options', 'train_cfg.max_epochs=3')


@pytest.mark.slow
def test_validation_has_learning_curves_and_a_folder_of_its_own(folder):
    options = ('--cfg-options', 'split.protocol=videowise')
    process = run_tool(TOOL, 'tiny.py', '--only', 'full', '--validation', *options, folder=folder)
    assert process.returncode == 0, process.stderr
    record = Ablation.load(folder / 'work_dirs/ablation_tiny_validation/ablation.json')
    assert (record.protocol.subset, record.protocol.train_clips, record.protocol.test_clips) == ('validation', 6, 3)
    history = (folder / 'work_dirs/ablation_tiny_validation/recipe/seed0/history.json').read_text()
    assert 'validation_top1' in history and 'test_top1' not in history
    assert 'measured on 3 validation clips' in process.stdout


@pytest.mark.slow
def test_validation_folds_are_measured_together(tmp_path):
    """A first fold that was trained before is not trained again."""
    write_config(tmp_path, write_data(tmp_path, groups=(1, 8, 9, 10, 11, 12)))
    for chosen, told in (('0', '1 of 1 trainings to run'), ('0-1', '1 of 2 trainings to run')):
        process = run_tool(TOOL, 'tiny.py', '--only', 'full', '--validation-folds', chosen, folder=tmp_path)
        assert process.returncode == 0, process.stderr
        assert told in process.stderr
    record = Ablation.load(tmp_path / 'work_dirs/ablation_tiny_validation/ablation.json')
    assert (record.protocol.subset, record.protocol.test_clips) == ('validation', 6)
    assert record.validation_folds == [0, 1] and len(record.rows[0].runs) == 1
    assert 'a seed is 2 trainings' in process.stdout and '6 validation clips in all' in process.stdout
