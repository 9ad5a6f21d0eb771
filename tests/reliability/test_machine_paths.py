"""Files that are passed on hold no paths of the machine that wrote them."""

import sys
import zipfile
from pathlib import Path

import pytest

from tests.small_experiment import REPOSITORY, run_tool, write_config, write_data

TRAIN, EXPORT = REPOSITORY / 'tools/train.py', REPOSITORY / 'tools/export.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('experiment')
    config = write_config(folder, write_data(folder))
    assert run_tool(TRAIN, config, '--work-dir', folder / 'run', folder=folder).returncode == 0
    for suffix in ('onnx', 'xml', 'safetensors'):
        out = folder / f'exported/tiny.{suffix}'
        assert run_tool(EXPORT, config, folder / 'run/epoch_2.pth', '-o', out, folder=folder).returncode == 0
    return folder


def content(file: Path) -> bytes:
    if not zipfile.is_zipfile(file):
        return file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        return b'\n'.join(archive.read(name) for name in archive.namelist())


def test_exports_checkpoints_and_results_hold_no_path_of_the_machine(folder):
    files = [*(folder / 'exported').iterdir(), *(folder / 'run').glob('epoch_*.pth'), *(folder / 'run').glob('*.json')]
    files += (folder / 'run').glob('*.npz')
    assert len(files) >= 8
    for file in files:
        for place in (folder, REPOSITORY, Path(sys.prefix), Path.home()):
            assert place == Path('/') or f'{place}/'.encode() not in content(file), (file.name, place)
