"""`tools/cross_validate.py` as a process: folds that are killed, fail, are interrupted and resumed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import is_running
from tests.small_experiment import REPOSITORY, run_tool, write_config
from tests.videos import write_video
from tvn_mmaction.datasets.manifest import read_manifest, write_manifest
from tvn_mmaction.evaluation.result import Result, Scores
from tvn_mmaction.experiments.cross_validation.cross_validation_record import CrossValidation
from tvn_mmaction.experiments.scheduling.job import GRACE_S
from tvn_mmaction.utils.errors import UserError

TOOL = REPOSITORY / 'tools/cross_validate.py'
# A training waits after its first epoch while a file `hold0` (of fold 0) exists, and fails if `broken0` exists.
HOOK = """
import time
from pathlib import Path
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class HoldHook(Hook):
    def before_train_epoch(self, runner):
        number = Path(runner.work_dir).name.removeprefix('fold')
        if Path('broken' + number).exists():
            raise RuntimeError('broken on purpose')
        while runner.epoch == 1 and Path('hold' + number).exists():
            time.sleep(0.02)
"""
USE_HOOK = """
custom_imports = dict(imports=['tvn_mmaction', 'hold'], allow_failed_imports=False)
custom_hooks = [dict(type='HoldHook')]
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start the tool with the small config and three folds of four groups."""
    return subprocess.Popen(
        [sys.executable, TOOL, 'tiny.py', '--protocol', 'twothirds', *arguments],
        cwd=folder,
        env=os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': f'{folder}{os.pathsep}{REPOSITORY}'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a process after its end."""
    out, err = process.communicate(timeout=120)
    assert 'Traceback' not in err
    return process.returncode, out, err


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def process_of(fold: Path) -> int:
    """Return the id of the newest process of a fold."""
    return int(re.findall(r'=== process (\d+)', (fold / 'terminal.log').read_text())[-1])


@pytest.fixture(scope='module')
def folder(folder):
    write_config(folder, folder / 'lists', USE_HOOK)
    (folder / 'hold.py').write_text(HOOK)
    return folder


@pytest.fixture(scope='module')
def all_folds(folder):
    """Parent folder of the folds."""
    return folder / 'work_dirs/tiny/twothirds_seed0'


@pytest.fixture(scope='module')
def first(folder, all_folds):
    """Run folds 0 and 1: the first process of fold 0 is killed, fold 1 always fails."""
    (folder / 'hold0').touch()
    (folder / 'broken1').touch()
    process = start(folder, '--folds', '0,1', '--workers', '2')
    wait_for(all_folds / 'fold0/last_checkpoint', process)
    os.kill(process_of(all_folds / 'fold0'), signal.SIGKILL)
    (folder / 'hold0').unlink()
    ended = end(process)
    (folder / 'broken1').unlink()
    return ended


@pytest.fixture(scope='module')
def interrupted(folder, all_folds, first):
    """Run all unfinished folds, and interrupt fold 1 after its first epoch."""
    (folder / 'hold1').touch()
    process = start(folder, '--resume')
    wait_for(all_folds / 'fold1/last_checkpoint', process)
    process.send_signal(signal.SIGINT)
    ended = end(process)
    (folder / 'hold1').unlink()
    return ended


@pytest.fixture(scope='module')
def resumed(folder, interrupted):
    return end(start(folder, '--resume', '--workers', '2'))


@pytest.mark.slow
def test_killed_fold_is_retried_from_its_checkpoint(first, all_folds):
    _, _, err = first
    assert re.search(r'fold 0  retried   epoch 1/2', err)
    assert re.search(r'fold 0  finished  epoch 2/2', err)
    assert f'fold 0 was retried after its first process died. Log: {all_folds}/fold0/terminal.log' in err
    before, after = (all_folds / 'fold0/terminal.log').read_text().split('=== process')[1:]
    assert 'epoch   1/2' in before and 'epoch   1/2' not in after and 'epoch   2/2' in after
    assert [entry['epoch'] for entry in Result.load(all_folds / 'fold0/result.json').history] == [1, 2]


@pytest.mark.slow
def test_failing_fold_does_not_affect_the_others(first, all_folds):
    code, out, err = first
    assert code == 1
    assert f'fold 1 failed: RuntimeError: broken on purpose\n  Log: {all_folds}/fold1/terminal.log' in err
    assert (all_folds / 'fold1/terminal.log').read_text().count('=== process') == 2
    assert '1 of the 3 folds of twothirds' in out and 'not included: 1, 2' in out


@pytest.mark.slow
def test_interruption_ends_every_process_and_suggests_to_resume(interrupted, all_folds):
    code, out, err = interrupted
    assert code == 130 and not out
    assert err.endswith('interrupted, 1 of 3 folds are finished. Run the same command with --resume to continue.\n')
    assert not is_running(process_of(all_folds / 'fold1'))
    assert not (all_folds / 'fold1/result.json').exists() and not (all_folds / 'fold2/result.json').exists()


@pytest.mark.slow
def test_resume_runs_only_unfinished_folds(resumed, first, all_folds):
    code, _, err = resumed
    assert code == 0 and '2 of 3 folds to run' in err and 'fold 0' not in err
    log = (all_folds / 'fold1/terminal.log').read_text()
    assert 'epoch   2/2' in log and 'epoch   1/2' not in log
    assert [entry['epoch'] for entry in Result.load(all_folds / 'fold1/result.json').history] == [1, 2]
    times = [(all_folds / f'fold{fold}/result.json').stat().st_mtime for fold in range(3)]
    assert times[0] < min(times[1], times[2])


@pytest.mark.slow
def test_record_of_all_folds(resumed, all_folds):
    _, out, _ = resumed
    assert '3 of the 3 folds of twothirds, 12 test clips' in out and 'not included' not in out
    assert 'mean ± standard deviation over folds' in out and '95 % interval' in out
    assert 'no test clip shares its source video' in out
    record = CrossValidation.load(all_folds / 'cross_validation.json')
    assert (record.name, record.fold_count, record.missing) == ('tiny', 3, [])
    assert (record.protocol.split, record.protocol.split_fold, record.protocol.test_clips) == ('twothirds', None, 12)
    assert [fold.protocol.split_fold for fold in record.folds] == [0, 1, 2]
    scores = Scores.load(all_folds / 'scores.npz')
    assert len(set(scores.clips)) == 12
    assert record.metrics['top1'].value == pytest.approx((scores.scores.argmax(1) == scores.labels).mean())
    for picture in ('folds.png', 'confusion_matrix.png'):
        assert (all_folds / picture).read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_finished_folds_start_no_process(resumed, call, capsys):
    assert call('--protocol', 'twothirds') == 0
    assert '3 of the 3 folds' in capsys.readouterr().out


@pytest.mark.slow
def test_other_groups_in_the_same_folder_are_refused(resumed, call, folder):
    """The folds have the same sizes and configuration, but different clips."""
    data_root = folder / 'lists'
    whole = (data_root / 'manifest.csv').read_bytes()
    clips = read_manifest(data_root)
    write_manifest(data_root / 'manifest.csv', [clip._replace(group=f'x{clip.group}') for clip in clips])
    try:
        with pytest.raises(UserError, match=r'fold\d holds the result of other clips\. Use another --work-dir'):
            call('--protocol', 'twothirds')
    finally:
        (data_root / 'manifest.csv').write_bytes(whole)


@pytest.mark.slow
def test_own_clips_with_two_commands(tmp_path):
    """As in the README, with only a folder of clips."""
    for label, class_name in enumerate(('jump', 'run')):
        for place, person in enumerate(('anna', 'ben', 'cleo', 'dora', 'emil')):
            write_video(tmp_path / f'my_videos/{class_name}/{person}_1.mp4', 8 + 10 * label + place, codec='mp4v')
    command = ('my_videos', '--out', 'data/mine', '--group-pattern', '^(.+)_[0-9]+$')
    built = run_tool(REPOSITORY / 'tools/build_ucf50.py', *command, folder=tmp_path)
    assert built.returncode == 0, built.stderr
    assert 'groups       10\n' in built.stdout and 'have no group' not in built.stdout
    write_config(tmp_path, Path('elsewhere'))
    protocol = ('--data-root', 'data/mine', '--protocol', 'group5')
    validated = run_tool(TOOL, 'tiny.py', *protocol, '--workers', '2', '--folds', '1,3', folder=tmp_path)
    assert validated.returncode == 0, validated.stderr
    assert '2 of the 5 folds of group5, 4 test clips of 2 classes from mine' in validated.stdout
    assert 'no test clip shares its source video with a train clip' in validated.stdout
    tested = Scores.load(tmp_path / 'work_dirs/tiny/group5_seed0/scores.npz').clips
    assert len({name.partition('/')[2] for name in tested}) == 2  # both classes of each person


@pytest.mark.slow
@pytest.mark.parametrize(
    ('runner', 'ending'), [('local', signal.SIGTERM), ('local', signal.SIGKILL), ('ray', signal.SIGINT)]
)
def test_folds_end_with_the_tool(folder, tmp_path, runner, ending):
    if runner == 'ray':
        pytest.importorskip('ray')
    (folder / 'hold0').touch()
    process = start(folder, '--runner', runner, '--folds', '0', '--work-dir', str(tmp_path))
    fold = tmp_path / 'twothirds_seed0/fold0'
    wait_for(fold / 'last_checkpoint', process, seconds=120)
    process.send_signal(ending)
    _, _, err = end(process)
    assert ending == signal.SIGKILL or 'interrupted, 0 of 1 folds are finished. Run the same command' in err
    deadline = time.monotonic() + 1.5 * GRACE_S  # the held step does not notice the end of the tool
    while is_running(process_of(fold)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_ray_retries_a_killed_worker(folder, tmp_path):
    pytest.importorskip('ray')
    (folder / 'hold0').touch()
    process = start(folder, '--runner', 'ray', '--folds', '0', '--work-dir', str(tmp_path))
    fold = tmp_path / 'twothirds_seed0/fold0'
    wait_for(fold / 'last_checkpoint', process, seconds=120)
    os.kill(process_of(fold), signal.SIGKILL)
    (folder / 'hold0').unlink()
    code, out, err = end(process)
    assert code == 0, err
    assert 'fold 0 was retried' in err and '1 of the 3 folds of twothirds' in out
    log = (fold / 'terminal.log').read_text()
    assert log.count('=== process') == 2 and log.count('epoch   1/2') == 1
