"""`init_recognizer`, `inference_recognizer` and `MMAction2Inferencer` with configs and checkpoints of this package."""

import numpy as np
import pytest
import torch
from mmaction.apis import inference_recognizer, init_recognizer
from mmaction.apis.inferencers import MMAction2Inferencer
from mmengine.config import Config

import tvn_mmaction
from tests.deploy.networks import write_checkpoint
from tests.small_experiment import run_process
from tvn_mmaction.utils.errors import UserError

NAMES = ('Biking', 'Diving', 'Fencing')
LATE = """
from mmaction.apis import init_recognizer  # before this package, which the config imports
model = init_recognizer('tiny.py', 'epoch_3.pth', device='cpu')
print(model.cls_head.num_classes, *model.dataset_meta['classes'])
"""
pytestmark = pytest.mark.filterwarnings('ignore:Failed to add')


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Config of 50 classes, checkpoint of 3 classes, a video, and the probabilities by label."""
    folder = tmp_path_factory.mktemp('network')
    config, checkpoint = write_checkpoint(folder)
    (folder / 'lists/manifest.csv').unlink()  # so that nothing but the checkpoint has 3 classes
    video = str(next((folder / 'videos/Fencing').iterdir()))
    predicted = tvn_mmaction.load(checkpoint)(video)
    expected = dict(zip(predicted.labels, predicted.probabilities, strict=True))
    assert Config.fromfile(config).model.cls_head.num_classes == 50
    return str(config), str(checkpoint), video, [expected[name] for name in NAMES]


def test_recognizer_has_the_classes_of_the_checkpoint(network):
    config, checkpoint, video, expected = network
    for named in (config, Config.fromfile(config)):
        recognizer = init_recognizer(named, checkpoint, device='cpu')
        assert recognizer.cls_head.num_classes == recognizer.cls_head.fc_cls.out_features == 3
        assert recognizer.dataset_meta == {'classes': NAMES}
        assert np.allclose(inference_recognizer(recognizer, video).pred_score, expected, atol=1e-5)


def test_inferencer_has_the_classes_of_the_checkpoint(network):
    config, checkpoint, video, expected = network
    inferencer = MMAction2Inferencer(config, checkpoint, device='cpu')
    (predicted,) = inferencer(video)['predictions']
    assert np.allclose(predicted['rec_scores'], [[expected]], atol=1e-5)
    assert inferencer.actionrecog_inferencer.visualizer.dataset_meta == {'classes': NAMES}


def test_label_file_must_have_the_classes_of_the_checkpoint(network, tmp_path):
    config, checkpoint, *_ = network
    (tmp_path / 'classes.txt').write_text('Biking\nFencing\nDiving\n')
    message = r'classes\.txt has 3 classes \(Biking, Fencing, Diving\) and the checkpoint has .*in another order'
    with pytest.raises(UserError, match=message):
        MMAction2Inferencer(config, checkpoint, device='cpu', label_file=str(tmp_path / 'classes.txt'))
    (tmp_path / 'classes.txt').write_text('\n'.join(NAMES))
    MMAction2Inferencer(config, checkpoint, device='cpu', label_file=str(tmp_path / 'classes.txt'))


@pytest.mark.parametrize(
    ('change', 'weight'),
    [
        (
            lambda state: {name: value for name, value in state.items() if 'fc_cls' not in name},
            'cls_head.fc_cls.weight',
        ),
        (lambda state: {**state, 'cls_head.fc_cls.weight': torch.zeros(3, 9)}, 'cls_head.fc_cls.weight'),
        (lambda state: {**state, 'cls_head.fc_cls.bias': torch.zeros(4)}, 'cls_head.fc_cls.bias'),
    ],
    ids=['no classifier', 'other features', 'other number than names'],
)
def test_weights_that_would_stay_random_are_refused(network, tmp_path, change, weight):
    config, checkpoint, *_ = network
    loaded = torch.load(checkpoint, weights_only=True)
    torch.save({**loaded, 'state_dict': change(loaded['state_dict'])}, tmp_path / 'other.pth')
    for init in (
        lambda: init_recognizer(config, str(tmp_path / 'other.pth'), device='cpu'),
        lambda: MMAction2Inferencer(config, str(tmp_path / 'other.pth'), device='cpu'),
    ):
        with pytest.raises(UserError, match=f'does not fit the model: .* such as {weight}'):
            init()


def test_checkpoint_without_names_gives_its_number_of_classes(network, tmp_path):
    config, checkpoint, *_ = network
    torch.save(torch.load(checkpoint, weights_only=True)['state_dict'], tmp_path / 'weights.pth')
    recognizer = init_recognizer(config, str(tmp_path / 'weights.pth'), device='cpu')
    assert recognizer.cls_head.num_classes == 3 and not hasattr(recognizer, 'dataset_meta')


@pytest.mark.slow
def test_functions_imported_before_the_package_have_the_classes_too(network, tmp_path):
    config = network[0]
    (tmp_path / 'late.py').write_text(LATE)
    process = run_process(tmp_path / 'late.py', folder=config.removesuffix('/tiny.py'))
    assert process.stdout.splitlines()[-1] == ' '.join(['3', *NAMES]), process.stderr
