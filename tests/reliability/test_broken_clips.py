"""Clips that cannot be read, and clips that crash or hang the worker that reads them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.reliability.faults import TRAPPED, Trap
from tests.small_experiment import REPOSITORY, break_clip, call_tool, run_tool, write_config
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.utils.errors import UserError

TRAIN, TEST = REPOSITORY / 'tools/train.py', REPOSITORY / 'tools/test.py'
USE_TRAP = """
for trapped in (train_dataloader, val_dataloader, test_dataloader):
    trapped['dataset']['pipeline'].insert(1, dict(type='Trap'))
custom_imports = dict(imports=['tvn_mmaction', 'tests.reliability.faults'], allow_failed_imports=False)
"""
LAST_ONE = 'v_Fencing_g09_c01.avi'  # in train, as the trapped one


@pytest.fixture
def folder(tmp_path, data_root):
    """A folder with a small config and a copy of its data."""
    shutil.copytree(data_root.parent, tmp_path, dirs_exist_ok=True)
    write_config(tmp_path, tmp_path / 'lists')
    for path in (tmp_path / 'lists').rglob('*.csv'):
        path.write_text(path.read_text().replace(str(data_root.parent), str(tmp_path)))
    return tmp_path


def train(folder: Path, *options: str, workers: int = 2) -> int:
    return call_tool(
        TRAIN, str(folder / 'tiny.py'), '--work-dir', str(folder / 'run'), '--cfg-options',
        f'train_dataloader.num_workers={workers}', f'val_dataloader.num_workers={workers}', *options,
    )  # fmt: skip


def broken_clips(folder: Path) -> dict:
    return json.loads((folder / 'run/result.json').read_text())['broken_clips']


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 2])
def test_broken_training_clip_is_replaced(folder, capsys, workers):
    break_clip(folder, TRAPPED)
    assert train(folder, workers=workers) == 0
    errors = capsys.readouterr().err
    assert errors.count(f'Diving/{TRAPPED} cannot be read and is replaced by others of its class: ') == 1
    (name,) = broken_clips(folder)['train']
    assert name == f'Diving/{TRAPPED}' and not broken_clips(folder)['test']


def test_too_many_broken_training_clips_end_the_run(folder):
    break_clip(folder, TRAPPED)
    break_clip(folder, LAST_ONE)
    with pytest.raises(UserError, match=r'2 of \d+ training clips cannot be read, more than') as raised:
        train(folder)
    assert TRAPPED in str(raised.value) and LAST_ONE in str(raised.value)
    assert train(folder, 'broken_clips.max_share=0.5') == 0


def test_class_without_a_clip_ends_the_run(folder):
    for path in (folder / 'videos/Diving').iterdir():
        break_clip(folder, path.name)
    with pytest.raises(UserError, match=r'Diving/.* cannot be read .*no other clip of its class can. Check the videos'):
        train(folder, 'broken_clips.max_share=1')


def test_broken_test_clip_counts_as_wrong(folder, capsys):
    assert train(folder) == 0
    tested = sorted(Scores.load(folder / 'run/scores.npz').clips)
    break_clip(folder, Path(tested[0]).name)
    capsys.readouterr()
    command = (str(folder / 'tiny.py'), str(folder / 'run/epoch_2.pth'), '--work-dir', str(folder / 'run'))
    ended = run_tool(TEST, *command, folder=folder)
    assert ended.returncode == 1 and 'Traceback' not in ended.stderr
    assert f'{tested[0]} cannot be read and counts as wrong' in ended.stderr
    assert f'1 test clips could not be read and count as wrong: {tested[0]}' in ended.stdout
    scores = Scores.load(folder / 'run/scores.npz')
    assert sorted(scores.clips) == tested  # none is dropped
    place = scores.clips.index(tested[0])
    assert scores.scores[place, scores.labels[place]] == 0 and scores.scores[place].sum() == pytest.approx(1)
    assert list(broken_clips(folder)['test']) == [tested[0]]


@pytest.mark.parametrize(
    ('kind', 'reason', 'persistent'),
    [
        pytest.param('segfault', 'SIGSEGV', False, marks=pytest.mark.slow),
        ('stands still', 'took longer than 2 s', True),
    ],
)
def test_clip_that_crashes_or_hangs_is_replaced(folder, kind, reason, persistent, monkeypatch, capfd):
    monkeypatch.setattr(Trap, 'kind', kind)
    write_config(folder, folder / 'lists', USE_TRAP)
    options = ('broken_clips.time_limit_s=2', f'train_dataloader.persistent_workers={persistent}')
    assert train(folder, *options) == 0
    assert capfd.readouterr().err.count(f'Diving/{TRAPPED} cannot be read and is replaced') == 1
    assert reason in broken_clips(folder)['train'][f'Diving/{TRAPPED}']


@pytest.mark.slow
def test_killed_workers_do_not_blame_a_clip(folder, monkeypatch):
    monkeypatch.setattr(Trap, 'kind', 'killed')
    write_config(folder, folder / 'lists', USE_TRAP)
    with pytest.raises(UserError, match=rf'ended 5 times without a batch, the last one with SIGKILL, .*{TRAPPED}'):
        train(folder, 'train_dataloader.num_workers=1')


@pytest.mark.slow
@pytest.mark.parametrize('kilobytes', [80, 40])  # too few for batches, for locks
def test_no_room_in_shared_memory(folder, kilobytes):
    """Where a small one can be mounted for one process alone."""
    script = folder / 'small.sh'
    script.write_text(f'mount -t tmpfs -o size={kilobytes}k tmpfs /dev/shm && exec "$@"')
    if subprocess.run(['unshare', '--mount', 'sh', script, 'true'], capture_output=True).returncode:
        pytest.skip('only root can mount')
    options = ('--cfg-options', 'train_dataloader.num_workers=2', 'train_dataloader.batch_size=6')
    command = ['unshare', '--mount', 'sh', script, sys.executable, TRAIN, folder / 'tiny.py', *options]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2 and 'Traceback' not in ended.stderr, ended.stderr
    assert re.search(r'no room in /dev/shm, where [\d.]+ MB are free\. Enlarge it', ended.stderr)


def test_invalid_loss_ends_the_run(folder):
    with pytest.raises(
        UserError, match=r'the loss is (nan|inf|\d).* for \d+ steps: .*lower learning rate than 1e\+'
    ) as raised:
        options = ('optim_wrapper.optimizer.lr=1e30', 'optim_wrapper.clip_grad=None', 'train_cfg.max_epochs=9')
        train(folder, *options, workers=0)
    last = folder / 'run/last_checkpoint'
    if last.exists():
        assert last.read_text() in str(raised.value)
        state = torch.load(last.read_text(), weights_only=True)['state_dict']
        assert all(value.isfinite().all() for value in state.values())
