"""Choice of the checkpoint from which a training resumes."""

import pytest
import torch

from tvn_mmaction.utils.checkpoints import newest_checkpoint
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
