"""Choice of the checkpoint from which a training resumes, and hostile files."""

import zipfile

import pytest
import torch

from tvn_mmaction.utils.checkpoints import load_from_local, newest_checkpoint
from tvn_mmaction.utils.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for epoch in (1, 2):
        torch.save({'meta': {'epoch': epoch}, 'state_dict': {}}, tmp_path / f'epoch_{epoch}.pth')
    (tmp_path / 'last_checkpoint').write_text('/where/it/was/trained/epoch_2.pth')
    return tmp_path


def test_last_checkpoint_is_found_in_a_moved_folder(folder):
    assert newest_checkpoint(folder).path == folder / 'epoch_2.pth'
    (folder / 'last_checkpoint').write_text('epoch_1.pth')
    assert newest_checkpoint(folder).path == folder / 'epoch_1.pth'
    (folder / 'last_checkpoint').unlink()
    assert newest_checkpoint(folder) is None


def test_empty_last_checkpoint_file_falls_back_to_the_newest(folder, capsys):
    (folder / 'last_checkpoint').write_text('')
    assert newest_checkpoint(folder).path == folder / 'epoch_2.pth'
    assert 'Resuming from' in capsys.readouterr().err.replace('\n', ' ')


@pytest.mark.parametrize('share', [0, 0.5, 0.99])
def test_incomplete_checkpoint_falls_back_to_the_previous(folder, share):
    path = folder / 'epoch_2.pth'
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert newest_checkpoint(folder).path == folder / 'epoch_1.pth'
    (folder / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(UserError, match='names no checkpoint that can be read'):
        newest_checkpoint(folder)


def test_compressed_checkpoint_is_not_unpacked(tmp_path):
    torch.save({'state_dict': {'weight': torch.zeros(1 << 20)}}, tmp_path / 'plain.pth')
    assert load_from_local(tmp_path / 'plain.pth')['state_dict']['weight'].numel() == 1 << 20
    with (
        zipfile.ZipFile(tmp_path / 'plain.pth') as plain,
        zipfile.ZipFile(tmp_path / 'packed.pth', 'w', zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(UserError, match=r'packed\.pth is a compressed archive'):
        load_from_local(tmp_path / 'packed.pth')


@pytest.mark.parametrize('header_bytes', [1 << 30, 1 << 62, 10])
def test_safetensors_header_that_the_file_does_not_have(tmp_path, header_bytes):
    path = tmp_path / 'weights.safetensors'
    path.write_bytes(header_bytes.to_bytes(8, 'little') + b'{}')
    with pytest.raises(UserError, match=r'weights\.safetensors is not a readable checkpoint'):
        load_from_local(path)
