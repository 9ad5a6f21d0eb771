"""`tools/ablate.py`: trainings as processes, finished ones that are not repeated, and refused command lines."""

import pytest

from tests.small_experiment import REPOSITORY, run_tool, write_config, write_data
from tests.tools.refusals import check_refused
from tvn_mmaction.experiments.ablation.ablation_record import Ablation
from tvn_mmaction.utils.errors import UserError

TOOL = REPOSITORY / 'tools/ablate.py'


@pytest.fixture(scope='module')
def folder(folder):
    (folder / 'baseline.py').write_text("_base_ = 'tiny.py'\noptim_wrapper = dict(optimizer=dict(lr=0.001))\n")
    (folder / 'own.yaml').write_text('dropout: {model.cls_head.dropout_ratio: 0}\n')
    return folder


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--seeds x', '--seeds: x: give whole numbers from 0'),
        ('--baseline tiny.py', 'tiny.py is given twice'),
        ('--compare-with baseline.py a=1 b=2 ./baseline.py b=2 a=1', 'baseline.py is given twice'),
        ('--compare-with clip.size=72 baseline.py', '--compare-with clip.size=72: name the config first'),
        ('--compare-with baseline.py a%b=1', 'argument --compare-with: a%b=1: give KEY=VALUE'),
        ('--compare-with baseline.py randomness.seed=3', 'randomness.seed=3 is set for all rows alike. Use --seeds'),
        ('--cfg-options randomness.seed=3', 'randomness.seed=3 is set for all rows alike. Use --seeds'),
        ('--cfg-options train_dataloader.dataset.subset=fit', 'subset=fit is set for all rows alike. Use --seeds'),
        ('--cfg-options train_dataloader.dataset.validation_fold=1', 'validation_fold=1 is set for all rows alike'),
        ('--validation-folds 0-x', '--validation-folds: 0-x: give numbers and ranges such as 0,3-7'),
        ('--validation --validation-folds 0-4', 'not allowed with argument --validation'),
        ('own.yaml --rows full', 'own.yaml: --rows full trains the recipe alone'),
        ('own.yaml --validation-folds 0-1 --cfg-options split.protocol=videowise', 'there is no fold 1'),
    ],
)
def test_refused_command_lines(call, arguments, message, capsys):
    check_refused(call, arguments.split(), message, capsys)


@pytest.mark.slow
def test_rows_are_trained_once(folder, call, capsys):
    """Also under the former names of the options. The test clips are read once per training."""
    first = ('own.yaml', '--rows', 'add', '--baseline', 'baseline.py', '--workers', '2')
    process = run_tool(TOOL, 'tiny.py', *first, folder=folder)
    assert process.returncode == 0, process.stderr
    assert '3 of 3 trainings to run' in process.stderr
    work_dir = folder / 'work_dirs/ablation_tiny'
    record = Ablation.load(work_dir / 'ablation.json')
    assert [row.name for row in record.rows] == ['`baseline`', 'no part', '+ dropout = the recipe']
    assert [row.config for row in record.rows] == ['baseline', 'tiny', 'tiny']
    assert [row.difference and row.difference.against for row in record.rows] == [None, '`baseline`', 'no part']
    assert record.protocol.subset == 'test' and record.protocol.test_clips == 6 and not record.missing
    history = (work_dir / 'no_part/seed0/history.json').read_text()
    assert '"epoch": 2' in history and 'test_top1' not in history
    times = {path: path.stat().st_mtime for path in work_dir.glob('*/seed0/result.json')}
    assert len(times) == 3
    assert call('own.yaml', '--only', 'adding', '--plain', 'baseline.py') == 0
    out, err = capsys.readouterr()
    assert '| + dropout = the recipe | 1 |' in out
    assert '--only adding is deprecated' in err and '--plain is deprecated' in err
    assert {path: path.stat().st_mtime for path in times} == times
    with pytest.raises(UserError, match=r'holds the result of another configuration\. Use another --work-dir'):
        call(*first, '--cfg-options', 'train_cfg.max_epochs=3')


@pytest.mark.slow
def test_validation_folds_are_pooled(tmp_path):
    """The fold of a single validation is not trained again. Learning curves show the validation, not the test."""
    write_config(tmp_path, write_data(tmp_path, groups=(1, 8, 9, 10, 11, 12)))
    work_dir = tmp_path / 'work_dirs/ablation_tiny_validation'
    for folds, counts in ((['--validation'], '1 of 1'), (['--validation-folds', '0-1'], '1 of 2')):
        process = run_tool(TOOL, 'tiny.py', '--rows', 'full', *folds, folder=tmp_path)
        assert process.returncode == 0, process.stderr
        assert f'{counts} trainings to run' in process.stderr
    record = Ablation.load(work_dir / 'ablation.json')
    assert (record.protocol.subset, record.protocol.test_clips) == ('validation', 6)
    assert record.validation_folds == [0, 1] and len(record.rows[0].runs) == 1
    assert 'a seed is 2 trainings' in process.stdout and '6 validation clips in total' in process.stdout
    history = (work_dir / 'recipe/seed0/history.json').read_text()
    assert 'validation_top1' in history and 'test_top1' not in history
