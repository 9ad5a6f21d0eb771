"""`tools/fuse.py`, from results to a result, and from videos to a fusion that was learned on a validation."""

import json

import pytest

from tests.experiments.fusion.test_fusion_report import draw
from tests.small_experiment import REPOSITORY, call_tool, run_tool, write_config, write_data
from tvn_mmaction.evaluation.result import Result

FUSE = REPOSITORY / 'tools/fuse.py'


def test_fusion_of_results(tmp_path, monkeypatch, capsys):
    for side in ('test', 'validation'):
        for network in (0, 1):
            entry = draw(side, network)
            entry.result.save(tmp_path / f'{network}_{side}/result.json')
            entry.scores.save(tmp_path / f'{network}_{side}/scores.npz')
    monkeypatch.chdir(tmp_path)
    learned = ('--weights', 'fit', '--validation', '0_validation', '1_validation', '--out', 'fused')
    assert not call_tool(FUSE, '0_test/result.json', '1_test', *learned)
    told = capsys.readouterr().out
    assert told.splitlines()[-1].startswith('in fused: fusion.json, result.json, scores.npz')
    assert 'network0 + network1: 120 test clips' in told and '95 % interval' in told
    record = json.loads((tmp_path / 'fused/fusion.json').read_text(encoding='utf-8'))
    assert record['validation_clips'] == 120 and sum(member['weight'] for member in record['members']) == pytest.approx(
        1
    )
    assert record['top1'] == Result.load(tmp_path / 'fused/result.json').metrics['top1'].value


@pytest.mark.slow
def test_from_videos_to_a_fusion(tmp_path):
    write_config(tmp_path, write_data(tmp_path))
    fit = ('--cfg-options', 'split.protocol=videowise', 'train_dataloader.dataset.subset=fit')
    train, test = (REPOSITORY / f'tools/{name}.py' for name in ('train', 'test'))
    for seed in ('0', '1'):
        commands = [
            (train, 'tiny.py', '--work-dir', seed, '--seed', seed, *fit),
            (test, 'tiny.py', f'{seed}/epoch_2.pth', '--work-dir', f'{seed}_val', *fit,
             'test_dataloader.dataset.subset=validation'),
        ]  # fmt: skip
        for command in commands:
            process = run_tool(*command, folder=tmp_path)
            assert process.returncode == 0, process.stderr
        assert 'tiny: 3 validation clips of 3 classes' in process.stdout
    for method in ('fit', 'stacking', 'svm'):
        learned = ('--weights', method, '--validation', '0_val', '1_val', '--out', method)
        process = run_tool(FUSE, '0', '1', *learned, folder=tmp_path)
        assert process.returncode == 0, process.stderr
        assert 'tiny + tiny #2: 3 test clips' in process.stdout
