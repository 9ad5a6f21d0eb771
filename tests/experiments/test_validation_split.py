"""Held-out validation clips, and the warning about clips of the same source videos on both sides."""

import pytest

from tests.small_experiment import REPOSITORY, write_config
from tests.videos import write_video
from tvn_mmaction.config.loaders import all_datasets
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.experiments.validation_split import validation_options, warn_of_group_leakage
from tvn_mmaction.utils.errors import UserError


def test_validation_is_held_out_of_every_loader():
    """Including further loaders of the training loop, such as OmniSource's images."""
    file = REPOSITORY / 'configs/baselines/omnisource_slowonly_r50_ucf50.py'
    config = read_config(file, options=validation_options(read_config(file), {}))
    assert [dataset.subset for dataset in all_datasets(config)] == ['fit', 'validation', 'validation', 'fit']


@pytest.mark.parametrize('fold', [0, 3])
def test_loader_with_its_own_validation_is_refused(fold):
    """Its held-out clips would be trained on by another loader."""
    file, given = REPOSITORY / 'configs/tvn1_ucf50.py', {'train_dataloader.dataset.validation_fold': 2}
    with pytest.raises(UserError, match=r'train_dataloader\.dataset\.validation_fold is 2, but the validation sets it'):
        validation_options(read_config(file, options=given), given, fold)


def config_on_validation(folder, protocol: str, groups: tuple[int, ...]):
    """Return the small config with the validation of clips of some groups."""
    for name in ('Biking', 'Diving'):
        for group in groups:
            for clip in (1, 2):
                write_video(folder / f'videos/{name}/v_{name}_g{group:02d}_c{clip:02d}.avi', 4)
    build_data_root(folder / 'videos', folder / 'lists', 'videowise')
    file, options = write_config(folder, folder / 'lists'), {'split.protocol': protocol}
    options |= validation_options(read_config(file, options=options), options)
    return read_config(file, options=options)


@pytest.mark.parametrize(('protocol', 'leaks'), [('videowise', True), ('groups19to25', False)])
def test_validation_clips_of_trained_source_videos_cause_a_warning(tmp_path, capsys, protocol, leaks):
    warn_of_group_leakage(config_on_validation(tmp_path, protocol, (1, 2, 3, 4, 5, 19)))
    assert ('validation clips come from source videos that are trained on' in capsys.readouterr().err) == leaks


def test_validation_of_too_few_groups_is_refused(tmp_path):
    config = config_on_validation(tmp_path, 'groups19to25', (1, 2, 19))
    with pytest.raises(UserError, match='5 folds of whole'):
        warn_of_group_leakage(config)
