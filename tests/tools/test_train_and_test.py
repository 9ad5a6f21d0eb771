"""`tools/train.py` and `tools/test.py`, from videos to results."""

import json
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.small_experiment import REPOSITORY, run_process, run_tool
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.result import Result, Scores

TRAIN, TEST = REPOSITORY / 'tools/train.py', REPOSITORY / 'tools/test.py'


@pytest.fixture(scope='module')
def experiment(folder):
    """Folder of a small trained experiment, and the process that trained it."""
    process = run_process(TRAIN, 'tiny.py', folder=folder)
    assert process.returncode == 0, process.stderr
    return folder, process


def test_training_writes_its_files_and_result(experiment):
    folder, process = experiment
    work_dir = folder / 'work_dirs/tiny'
    *_, last_line, following = process.stdout.splitlines()
    assert following == 'next: python tools/predict.py VIDEO --model work_dirs/tiny/epoch_2.pth'
    for name in ('result.json', 'scores.npz', 'curves.png', 'confusion_matrix.png', 'epoch_2.pth'):
        assert name in last_line
        assert (work_dir / name).stat().st_size > 0
    assert 'top-1' in process.stdout and '95 % interval' in process.stdout
    assert 'epoch   2/2' in process.stderr and 'clips/s' in process.stderr
    assert 'Warning' not in process.stderr and 'INFO' not in process.stdout + process.stderr

    result = Result.load(work_dir / 'result.json')
    assert (result.protocol.train_clips, result.protocol.test_clips, result.protocol.classes) == (6, 6, 3)
    assert result.protocol.split == 'ucf101like' and result.protocol.test_clips_with_sibling_in_train == 0
    assert result.protocol.initial_weights == 'scratch' and result.protocol.epochs == 2 and result.protocol.views == 1
    assert [entry['epoch'] for entry in result.history] == [1, 2]
    assert result.costs['train_seconds'] > 0
    scores = Scores.load(work_dir / 'scores.npz')
    assert scores.clips[0] == 'Biking/v_Biking_g01_c01.avi' and scores.classes == ['Biking', 'Diving', 'Fencing']
    assert (scores.scores.argmax(1) == scores.labels).mean() == pytest.approx(result.metrics['top1'].value)


def test_no_prediction_is_suggested_for_sounds(monkeypatch):
    monkeypatch.syspath_prepend(str(TRAIN.parent))
    next_step = runpy.run_path(str(TRAIN))['next_step']
    for name, suggested in (('tvn1_demo', 'tools/predict.py'), ('baselines/audio_r18_demo', 'None')):
        config = read_config(REPOSITORY / f'configs/{name}.py')
        assert suggested in str(next_step(None, config, Path('epoch_1.pth')))


def test_test_of_the_checkpoint_repeats_the_result(experiment):
    folder, _ = experiment
    trained = Result.load(folder / 'work_dirs/tiny/result.json')
    process = run_tool(
        TEST, 'tiny.py', 'work_dirs/tiny/epoch_2.pth', '--eval', 'top_k_accuracy', '--work-dir', 'tested',
        '--out', 'predictions.json', folder=folder,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert 'top-1' in process.stdout and 'mean class' not in process.stdout
    tested = Result.load(folder / 'tested/result.json')
    for name in ('metrics', 'protocol', 'config_sha256', 'checkpoint_sha256'):
        assert getattr(tested, name) == getattr(trained, name)
    assert tested.costs['train_seconds'] == trained.costs['train_seconds']
    predictions = json.loads((folder / 'predictions.json').read_text())
    assert len(predictions) == 6 and sum(predictions[0]['scores']) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_terminated_training_is_resumed(experiment):
    folder, _ = experiment
    resumed = 'resumed'
    command = [sys.executable, TRAIN, 'tiny.py', '--work-dir', resumed, '--cfg-options', 'train_cfg.max_epochs=500']
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if 'epoch   2/' in line:
                break
        process.terminate()
        rest = process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM and '--resume' in rest and 'Traceback' not in rest
    last = (folder / resumed / 'last_checkpoint').read_text()
    done = torch.load(folder / last, weights_only=True)['meta']['epoch']
    process = run_process(
        *command[1:-1], f'train_cfg.max_epochs={done + 1}', '--resume', folder=folder
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert f'epoch {done + 1:3d}/{done + 1}' in process.stderr and f'epoch {done:3d}/' not in process.stderr
    assert 'Loads checkpoint' not in process.stdout + process.stderr and '\n\n' not in process.stderr
    history = Result.load(folder / resumed / 'result.json').history
    assert [entry['epoch'] for entry in history] == list(range(1, done + 2))


@pytest.mark.slow
def test_two_processes_without_gpu(experiment):
    folder, _ = experiment
    process = run_process(
        '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2',
        TRAIN, 'tiny.py', '--launcher', 'pytorch', '--work-dir', 'distributed', '--resume', folder=folder,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    result = Result.load(folder / 'distributed/result.json')
    assert result.protocol.test_clips == 6 and result.protocol.batch_size == 4
    assert result.environment['processes'] == 2
    assert process.stdout.count('top-1') == 1
    assert process.stderr.count('no checkpoint in distributed to resume from') == 1
    assert Scores.load(folder / 'distributed/scores.npz').clips[-1].startswith('Fencing')
