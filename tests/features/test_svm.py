"""Linear SVM on features: its accuracy, and the clips that its penalty C is chosen on."""

import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.small_experiment import REPOSITORY, run_tool, write_config, write_data
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.clip_lists import clips_of, list_digest
from tvn_mmaction.datasets.transforms.load_features import FeatureRecord, file_of
from tvn_mmaction.datasets.ucf50 import UCF50Dataset
from tvn_mmaction.evaluation.result import Result, Scores
from tvn_mmaction.features.svm import PENALTIES, train_svm
from tvn_mmaction.utils.errors import UserError

FIT = {'split.protocol': 'videowise', 'train_dataloader.dataset.subset': 'fit'}
ALL = {'split.protocol': 'videowise'}
CHANNELS = 8


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    pytest.importorskip('sklearn')
    folder = tmp_path_factory.mktemp('svm')
    return write_config(folder, write_data(folder)), folder / 'lists'


@pytest.fixture
def plant(data, tmp_path):
    """A function that writes features with a record of the clips that their network was trained on."""

    def write(trained_on: str, noise: float, seed: int = 0):
        generator = np.random.default_rng(seed)
        for subset in ('train', 'test'):
            for info in clips(data, subset).load_data_list():
                features = generator.normal(0, noise, (4, CHANNELS)) + 3 * np.eye(CHANNELS)[info['label']]
                np.save(file_of(tmp_path, info['sha256']), features.astype(np.float32))
        training = {'train_list_sha256': list_digest(clips_of(clips(data, trained_on))), 'options': {'lr': 0.5}}
        FeatureRecord(
            network='tiny', checkpoint='epoch_1.pth', checkpoint_sha256='1' * 64, layer='backbone', steps=4,
            channels=CHANNELS, test_pipeline=[], clips=12, parameters=1000, macs=10**6,
            trained={'epoch': 1, 'seed': 0, 'training': training},
        ).save(tmp_path)  # fmt: skip
        return tmp_path

    return write


def clips(data, subset: str) -> UCF50Dataset:
    return UCF50Dataset(str(data[1]), 'videowise', subset=subset, pipeline=[])


def learn(data, features, options, name='svm') -> Result:
    return train_svm(read_config(data[0], str(features / name), options=options), features)


def test_svm_separates_planted_features(data, plant):
    features = plant('fit', noise=0.1)
    result = learn(data, features, FIT)
    assert result.metrics['top1'].value == 1
    # The smallest of equally good penalties.
    assert result.options == {'lr': 0.5, 'layer': 'backbone', 'C': 0.01, 'C_from': 'validation'}
    assert Result.load(features / 'svm/result.json') == result
    assert result.name == 'tiny_svm' and result.protocol.split == 'videowise'
    assert (result.protocol.train_clips, result.protocol.test_clips) == (6, 3)
    assert result.costs['parameters'] == 1000 + 3 * CHANNELS + 3
    scores = Scores.load(features / 'svm/scores.npz')
    assert scores.clips[0].startswith('Biking/v_Biking_g') and scores.scores.shape == (3, 3)
    assert scores.groups and scores.videos != scores.clips
    np.testing.assert_allclose(scores.scores.sum(1), 1, rtol=1e-5)
    held_out = learn(data, features, FIT | {'test_dataloader.dataset.subset': 'validation'}, 'validation')
    # A fusion recognises the same SVM on the validation split, which it was not trained on.
    assert held_out.checkpoint_sha256 == result.checkpoint_sha256 and held_out.options == result.options
    assert held_out.protocol.test_clips_with_copy_in_train == 0


@pytest.mark.slow
def test_result_of_another_svm_is_not_overwritten(data, plant):
    """The same SVM may be trained again."""
    features = plant('fit', noise=0.1)
    first = learn(data, features, FIT)
    before = (features / 'svm/result.json').read_bytes()
    replace(FeatureRecord.load(features), layer='backbone.dropout').save(features)
    with pytest.raises(UserError, match=r'another options\.layer \(backbone, and here backbone\.dropout\)\. Name ano'):
        learn(data, features, FIT)
    with pytest.raises(UserError, match=r'svm/result\.json is there already, of another .*\. Name another --work-dir'):
        learn(data, plant('fit', noise=0.1), FIT | {'test_dataloader.dataset.subset': 'validation'})
    assert (features / 'svm/result.json').read_bytes() == before
    assert learn(data, features, FIT).checkpoint_sha256 == first.checkpoint_sha256


def test_features_of_other_clips_are_refused(data, plant):
    features = plant('fit', noise=0.1)
    missing = clips(data, 'test').get_data_info(1)
    file_of(features, missing['sha256']).rename(file_of(features, 'f' * 64))
    with pytest.raises(UserError, match=r'lacks 1 of the 3 clips of test_dataloader, .* made of other clips'):
        learn(data, features, ALL)


@pytest.mark.slow
def test_penalty_is_chosen_on_validation_clips_alone(data, plant):
    """Changed test clips do not change the SVM."""
    from sklearn.svm import LinearSVC

    def arrays(subset):
        infos = clips(data, subset).load_data_list()
        rows = np.stack([np.load(file_of(features, info['sha256'])).mean(0) for info in infos])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True), [info['label'] for info in infos]

    features = plant('fit', noise=6, seed=6)
    accuracies = [
        LinearSVC(C=penalty, random_state=0).fit(*arrays('fit')).score(*arrays('validation')) for penalty in PENALTIES
    ]
    assert max(accuracies) > accuracies[0], 'all penalties are equally good; use another seed'
    result = learn(data, features, FIT)
    assert result.options['C'] == PENALTIES[accuracies.index(max(accuracies))]
    for info in clips(data, 'test').load_data_list():
        np.save(file_of(features, info['sha256']), np.ones((4, CHANNELS), np.float32))
    assert learn(data, features, FIT, 'again').checkpoint_sha256 == result.checkpoint_sha256


@pytest.mark.parametrize(('trained_on', 'options'), [('train', ALL), ('train', FIT), ('fit', ALL)])
def test_penalty_is_not_chosen_on_clips_that_the_network_has_seen(data, plant, trained_on, options):
    result = learn(data, plant(trained_on, noise=6), options)
    assert (result.options['C'], result.options['C_from']) == (1, 'default')
    assert (result.protocol.split == 'videowise') == ((trained_on, options) == ('train', ALL))


def test_svm_needs_the_config_of_its_features(data, plant):
    features = plant('fit', noise=0.1)
    shutil.copy(data[0], features / 'other.py')
    with pytest.raises(UserError, match='features of network tiny, and the config asks for other'):
        train_svm(read_config(features / 'other.py', str(features / 'svm')), features)


@pytest.mark.slow
def test_documented_recipe_runs(data, tmp_path):
    """With a small network under C3D's name, one of its layers, and 2 epochs."""
    folder = tmp_path / 'configs/baselines'
    folder.mkdir(parents=True)
    text = data[0].read_text(encoding='utf-8').replace('ucf101like', 'videowise')
    (folder / 'c3d_ucf50.py').write_text(text, encoding='utf-8')
    for command in recipe():
        command = command.replace('backbone.dropout', 'backbone.blocks.0.0.spatial').replace('epoch_40', 'epoch_2')
        tool, *arguments = shlex.split(command)[1:]
        process = run_tool(REPOSITORY / tool, *arguments, folder=tmp_path)
        assert process.returncode == 0, process.stderr
    assert 'chosen on the validation split, which the network was not trained on' in process.stdout
    assert Result.load(tmp_path / 'work_dirs/c3d_ucf50/svm/result.json').options['C_from'] == 'validation'


def recipe() -> list[str]:
    """The commands for an SVM in the tool's docstring."""
    tool = REPOSITORY / 'tools/extract_features.py'
    lines = tool.read_text(encoding='utf-8').split('\n\n')[3].replace('\\\n', ' ')
    return [line.strip() for line in lines.splitlines()]
