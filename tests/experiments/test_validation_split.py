"""What a validation holds out, and where clips of long videos are on both sides of it."""

import pytest

from tests.small_experiment import REPOSITORY, write_config
from tests.videos import write_video
from tvn_mmaction.config.loading import all_datasets, read_config
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.experiments.validation_split import on_validation, warn_of_siblings
from tvn_mmaction.utils.errors import UserError


def test_validation_is_held_out_of_every_loader():
    """Also of those of the training loop, such as OmniSource's of images."""
    file = REPOSITORY / 'configs/baselines/omnisource_slowonly_r50_ucf50.py'
    config = read_config(file, options=on_validation(read_config(file), {}))
    assert [dataset.subset for dataset in all_datasets(config)] == ['fit', 'validation', 'validation', 'fit']


@pytest.mark.parametrize('fold', [0, 3])
def test_no_loader_has_a_validation_of_its_own(fold):
    """What one of them alone holds out, another one trains on."""
    file, given = REPOSITORY / 'configs/tvn1_ucf50.py', {'train_dataloader.dataset.validation_fold': 2}
    with pytest.raises(UserError, match=r'train_dataloader\.dataset\.validation_fold is 2, and the validation sets it'):
        on_validation(read_config(file, options=given), given, fold)


@pytest.mark.parametrize(('protocol', 'told'), [('videowise', True), ('groups19to25', False)])
def test_validation_with_siblings_of_what_is_trained_on_is_told(tmp_path, capsys, protocol, told):
    for name in ('Biking', 'Diving'):
        for group in (1, 2, 3, 4, 5, 19):
            for clip in (1, 2):
                write_video(tmp_path / f'videos/{name}/v_{name}_g{group:02d}_c{clip:02d}.avi', 4)
    build_data_root(tmp_path / 'videos', tmp_path / 'lists', 'videowise')
    file = write_config(tmp_path, tmp_path / 'lists')
    options = {'split.protocol': protocol}
    options |= on_validation(read_config(file, options=options), options)
    warn_of_siblings(read_config(file, options=options))
    said = capsys.readouterr().err
    assert ('validation clips have siblings in what is trained on' in said) == told


def test_validation_of_too_few_groups_is_told(tmp_path):
    for name in ('Biking', 'Diving'):
        for group in (1, 2, 19):
            write_video(tmp_path / f'videos/{name}/v_{name}_g{group:02d}_c01.avi', 4)
    build_data_root(tmp_path / 'videos', tmp_path / 'lists', 'videowise')
    file = write_config(tmp_path, tmp_path / 'lists')
    options = {'split.protocol': 'groups19to25'}
    options |= on_validation(read_config(file, options=options), options)
    with pytest.raises(UserError, match='the validation, a fold of the clips that are trained on: 5 folds of whole'):
        warn_of_siblings(read_config(file, options=options))
