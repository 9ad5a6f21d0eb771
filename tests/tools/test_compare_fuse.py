"""`tools/compare.py fuse`: fusion of results, and from videos to a fusion that was learned on a validation."""

import functools
import json

import pytest

from tests.experiments.fusion.test_fusion_report import draw
from tests.small_experiment import REPOSITORY, call_tool, write_config, write_data
from tvn_mmaction.evaluation.result import Result

TRAIN, TEST, COMPARE = (REPOSITORY / f'tools/{name}.py' for name in ('train', 'test', 'compare'))


@pytest.fixture
def fuse(tmp_path, monkeypatch):
    """Call the tool in this process."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(call_tool, COMPARE, 'fuse')


def test_fusion_of_results(fuse, tmp_path, capsys):
    for side in ('test', 'validation'):
        for network in (0, 1):
            entry = draw(side, network)
            entry.result.save(tmp_path / f'{network}_{side}/result.json')
            entry.scores.save(tmp_path / f'{network}_{side}/scores.npz')
    learned = ('--weights', 'fit', '--validation', '0_validation', '1_validation', '--out', 'fused')
    assert fuse('0_test/result.json', '1_test', *learned) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1].startswith('in fused: fusion.json, result.json, scores.npz')
    assert 'network0 + network1: 120 test clips' in text and '95 % interval' in text
    record = json.loads((tmp_path / 'fused/fusion.json').read_text(encoding='utf-8'))
    assert record['validation_clips'] == 120
    assert sum(member['weight'] for member in record['members']) == pytest.approx(1)
    assert record['top1'] == Result.load(tmp_path / 'fused/result.json').metrics['top1'].value


@pytest.mark.slow
def test_from_videos_to_a_fusion(fuse, tmp_path, capsys):
    write_config(tmp_path, write_data(tmp_path))
    fit = ('--cfg-options', 'split.protocol=videowise', 'train_dataloader.dataset.subset=fit')
    held_out = 'test_dataloader.dataset.subset=validation'
    for seed in ('0', '1'):
        assert not call_tool(TRAIN, 'tiny.py', '--work-dir', seed, '--seed', seed, *fit)
        assert not call_tool(TEST, 'tiny.py', f'{seed}/epoch_2.pth', '--work-dir', f'{seed}_val', *fit, held_out)
        assert 'tiny: 3 validation clips of 3 classes' in capsys.readouterr().out
    for method in ('fit', 'stacking', 'svm'):
        assert fuse('0', '1', '--weights', method, '--validation', '0_val', '1_val', '--out', method) == 0
        assert 'tiny + tiny #2: 3 test clips' in capsys.readouterr().out
