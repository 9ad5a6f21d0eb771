"""Files are complete or absent, and checkpoints contain their digest."""

import os
import pickle
import re
import signal
import subprocess
import time

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.runner import save_checkpoint

from tests.small_experiment import REPOSITORY, run_process, write_config, write_data
from tvn_mmaction.compat.patches import load_from_local
from tvn_mmaction.utils.checkpoints import AtomicLocalBackend, check_digest, with_digest
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import write_atomically


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    save_checkpoint({'state_dict': {'weight': torch.arange(1000.0)}, 'meta': {}}, str(path))
    return path


def test_mmengine_writes_through_the_backend(tmp_path):
    for uri in (tmp_path / 'a', str(tmp_path / 'a'), 'relative/a'):
        assert isinstance(get_file_backend(uri), AtomicLocalBackend)
    backend = get_file_backend(tmp_path / 'a')
    backend.put(b'bytes', tmp_path / 'new/a')
    backend.put_text('schön', tmp_path / 'new/b')
    assert backend.get(tmp_path / 'new/a') == b'bytes' and backend.get_text(tmp_path / 'new/b') == 'schön'
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['a', 'b']


def test_checkpoint_with_a_digest_loads_anywhere(checkpoint):
    check_digest(checkpoint)
    for mmap in (False, True):
        loaded = torch.load(checkpoint, weights_only=True, mmap=mmap)
        assert loaded['state_dict']['weight'].equal(torch.arange(1000.0))


@pytest.mark.parametrize('place', [0.001, 0.3, 0.6, 0.95])
def test_changed_bit_is_detected(checkpoint, place):
    content = bytearray(checkpoint.read_bytes())
    content[int(place * len(content))] ^= 4
    checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=r'epoch_1\.pth is damaged: its SHA-256 is not'):
        load_from_local(str(checkpoint))


@pytest.mark.parametrize('kept', [0, 1, 30, 1000, -1, -100])
def test_truncated_checkpoint_is_detected(checkpoint, kept):
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
    with pytest.raises(UserError, match=r'epoch_1\.pth is (damaged|not a readable checkpoint)'):
        load_from_local(str(checkpoint))


def test_stock_files_have_no_digest(tmp_path):
    torch.save({'weight': torch.ones(3)}, tmp_path / 'stock.pth')
    check_digest(tmp_path / 'stock.pth')
    assert load_from_local(str(tmp_path / 'stock.pth'))['weight'].sum() == 3
    for content in (b'', b'PK', pickle.dumps([1, 2])):
        assert with_digest(content) == content


def test_digest_is_added_once(checkpoint):
    assert with_digest(checkpoint.read_bytes()) == checkpoint.read_bytes()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB, or a file size limit of 40 kB where mounting is not allowed."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', folder], capture_output=True)
    if mounted.returncode:
        resource = pytest.importorskip('resource')
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
        yield folder
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    else:
        yield folder
        subprocess.run(['umount', folder], check=True)


def test_full_disk_keeps_the_old_file(small_disk):
    path = small_disk / 'epoch_1.pth'
    write_atomically(path, b'old' * 1000)
    with pytest.raises(UserError, match=r'no room for .*epoch_1\.pth: it needs 0\.3 MB and \S+ MB are free') as caught:
        write_atomically(path, b'new' * 100_000)
    assert 'continue with --resume' in str(caught.value)
    assert path.read_bytes() == b'old' * 1000 and list(small_disk.iterdir()) == [path]


def test_training_on_a_full_disk_ends_with_its_last_checkpoint(small_disk, tmp_path):
    write_config(tmp_path, write_data(tmp_path))
    options = ('--work-dir', small_disk / 'run', '--cfg-options', 'train_cfg.max_epochs=9')
    ended = run_process(REPOSITORY / 'tools/train.py', 'tiny.py', *options, folder=tmp_path)
    assert ended.returncode == 2 and 'Traceback' not in ended.stderr
    assert re.search(r'error: no room for \S+/run/\S+: it needs [\d.e-]+ MB and', ended.stderr), ended.stderr
    last = small_disk / 'run/last_checkpoint'
    if last.exists():
        assert load_from_local(last.read_text())['meta']['epoch'] >= 1


def test_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'0' * 5_000_000)
    for attempt in range(5):
        child = os.fork()
        if not child:
            for digit in range(1, 1000):
                write_atomically(path, str(digit % 10).encode() * 5_000_000)
            os._exit(0)
        time.sleep(0.02 + 0.013 * attempt)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        content = path.read_bytes()
        assert len(content) == 5_000_000 and len(set(content)) == 1
