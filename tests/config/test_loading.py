"""From a config file and a command line to the config of a run."""

import re

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config

from tests.small_experiment import REPOSITORY, write_config
from tvn_mmaction.config.loaders import dataset_of, datasets
from tvn_mmaction.config.loading import configure_training, printed, read_config, resolve
from tvn_mmaction.utils.errors import UserError

README = (REPOSITORY / 'README.md').read_text(encoding='utf-8')


def test_data_root_reaches_every_data_set_and_the_classifier(config_file, data_root, tmp_path):
    config = read_config(config_file, data_root='elsewhere')
    assert {dataset.data_root for dataset in datasets(config)} == {'elsewhere'}
    assert config.model.cls_head.num_classes == 50
    config = read_config(REPOSITORY / 'configs/tvn1_ucf50.py', data_root=str(data_root))
    assert config.model.cls_head.num_classes == 3


def test_work_dir_is_named_after_the_config(config_file):
    assert read_config(config_file).work_dir == 'work_dirs/tiny'
    assert read_config(config_file, work_dir='there').work_dir == 'there'


@pytest.mark.parametrize('decoder', ['Decord', 'OpenCV', 'PyAV'])
def test_decoder_is_one_variable(config_file, decoder, monkeypatch):
    monkeypatch.setattr('tvn_mmaction.config.decoder.find_spec', lambda module: True)
    config = read_config(config_file, options={'decoder': decoder})
    for dataset in datasets(config):
        types = [transform['type'] for transform in dataset.pipeline]
        assert (types[0], types[2]) == (f'{decoder}Init', f'{decoder}Decode')


def test_training_options_are_those_of_mmaction(config_file):
    config = read_config(config_file)
    configure_training(config, resume='auto', validate=False, auto_scale_lr=True, seed=5, deterministic=True)
    assert config.resume and config.load_from is None
    assert config.val_cfg is None and config.val_dataloader is None and config.val_evaluator is None
    assert config.auto_scale_lr.enable
    assert config.randomness == {'seed': 5, 'deterministic': True}
    config = read_config(config_file)
    configure_training(config, resume='epoch_1.pth')
    assert config.resume and config.load_from == 'epoch_1.pth'
    assert config.randomness == {'seed': 0}


@pytest.mark.parametrize(
    ('gpu', 'wrapper', 'scale'), [(False, 'BFloat16OptimWrapper', None), (True, 'AmpOptimWrapper', 'dynamic')]
)
def test_mixed_precision(config, monkeypatch, gpu, wrapper, scale):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    configure_training(config, amp=True)
    assert (config.optim_wrapper.type, config.optim_wrapper.get('loss_scale')) == (wrapper, scale)


@pytest.mark.parametrize(
    ('more', 'options', 'message'),
    [
        ('', {'decoder': 'FFmpeg'}, r"decoder is 'FFmpeg'\. Give one of ExactVideo, Decord, OpenCV, PyAV"),
        ('value = 1 / 0', {}, 'ZeroDivisionError'),
        ('', {'model.backbone.num_segments': 1}, 'train_dataloader samples 2 frames and the network takes 1'),
        ('', {'test_dataloader.dataset.pipeline.1.num_clips': 3}, 'test_dataloader samples 3 frames'),
        (
            "train_dataloader['dataset'].update(protocol='logo', fold=1)",
            {},
            r"data set of {'protocol': 'logo', 'fold': 1} and the variable split = {'protocol': 'ucf101like",
        ),
        ('', {'split.protocl': 'group5'}, r'split has no protocl\. Give protocol \(a text\), fold \(a whole number'),
        ('', {'split': 3}, r'split is 3\. Give protocol \(a text\), fold \(a whole number'),
        (
            "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=8)\nparam_scheduler = []",
            {'train_cfg.max_epochs': 5},
            r'max_epochs is 5, .* trains by steps.*max_iters',
        ),
    ],
)
def test_contradictory_config_is_refused(tmp_path, data_root, more, options, message):
    file = write_config(tmp_path, data_root, more)
    with pytest.raises(UserError, match=message):
        read_config(file, options=options)


def test_misspelt_option_suggests_similar_names(config_file):
    for option, fault, names in (
        ('trian_cfg.max_epochs', 'has no such variable', 'train_cfg.max_epochs'),
        ('max_epochs', 'has no such variable', 'train_cfg.max_epochs'),
        ('optimizer.lr', 'has no such variable', 'optim_wrapper.optimizer.lr'),
        ('learning_rate', 'has no such variable', 'optim_wrapper.optimizer.lr'),
        ('protocol', 'has no such variable', 'split.protocol'),
        ('pretrain', 'has no such variable', 'pretrained'),
        # The base config defines the data sets by a dict of this name, which no run reads.
        ('clips.size', 'only defines others by it', 'clip.size'),
        ('clp.size', 'has no such variable', 'clip.size'),
    ):
        with pytest.raises(UserError, match=rf'--cfg-options {option}: .*tiny\.py {fault}\. Use {names}'):
            read_config(config_file, options={'model.cls_head.dropout_ratio': 0.1, option: 1})
    with pytest.raises(UserError, match=r'--cfg-options xyzzy: .* has no such variable\. Use one of .*train_cfg'):
        read_config(config_file, options={'xyzzy': 1})
    with pytest.raises(UserError, match=r'default_hooks\.emaa: .* has no such hook to leave out\. Correct the name'):
        read_config(config_file, options={'default_hooks.emaa': None})
    light = REPOSITORY / 'configs/recipes/tvn1_light_ucf50.py'
    with pytest.raises(UserError, match=r'erasing\.erase_prob: .*leaves erasing out, and an option'):
        read_config(light, options={'augmentation.erasing.erase_prob': 1})
    with pytest.raises(UserError, match=r'blending\.augments: .*leaves blending out, and an option'):
        read_config(light, options={'model.data_preprocessor.blending.augments': []})
    assert read_config(light, options={'augmentation.erasing': None}).augmentation.erasing is None


def test_architecture_of_the_readme_trains(tmp_path, data_root, mmaction_scope):
    (example,) = re.findall(r"```python\n(_base_ = 'tvn1_ucf50.py'\n.*?)```", README, flags=re.DOTALL)
    file = tmp_path / 'mine.py'
    file.write_text(example.replace("'tvn1_ucf50.py'", f"'{REPOSITORY}/configs/tvn1_ucf50.py'"))
    model = MODELS.build(read_config(file, data_root=str(data_root)).model)
    assert model.extract_feat(torch.randn(1, 8, 3, 40, 40), stage='head')[0].shape == (1, 3)


def test_missing_decoder_suggests_the_installed_ones(config_file, monkeypatch):
    monkeypatch.setattr('tvn_mmaction.config.decoder.find_spec', lambda module: module == 'cv2')
    with pytest.raises(UserError, match=r'Decord is not installed\. Use --cfg-options decoder=OpenCV'):
        read_config(config_file, options={'decoder': 'Decord'})


def test_data_root_among_the_options_is_that_of_all_data_sets(tmp_path, data_root):
    config = read_config(write_config(tmp_path, tmp_path / 'nowhere'), options={'data_root': str(data_root)})
    assert {dataset.data_root for dataset in datasets(config)} == {str(data_root)}


LITERAL_PIPELINES = """
for loader in (train_dataloader, val_dataloader):
    loader['dataset']['pipeline'][1].update(frame_interval=1, num_clips=2)
    loader['dataset']['pipeline'][3].update(scale=(32, 32))
"""


def test_clip_that_nothing_refers_to_is_not_changed(tmp_path, data_root):
    file = write_config(tmp_path, data_root, LITERAL_PIPELINES)
    assert read_config(file, options={'clip.frames': 2}).model.backbone.num_segments == 2
    for name in ('frames', 'size'):
        with pytest.raises(UserError, match=rf"nothing in .*tiny\.py refers to it\. Write '\$\{{clip\.{name}\}}' in"):
            read_config(file, options={f'clip.{name}': 48})


def test_epochs_may_be_a_reference(tmp_path, data_root):
    more = (
        "\nepochs = 4\ntrain_cfg['max_epochs'] = '${epochs}'"
        "\nparam_scheduler = [dict(type='CosineAnnealingLR', T_max=4)]"
    )
    file = write_config(tmp_path, data_root, more)
    for epochs, options in ((4, {}), (6, {'epochs': 6}), (6, {'train_cfg.max_epochs': 6})):
        config = read_config(file, options=options)
        assert config.train_cfg.max_epochs == config.param_scheduler[0].T_max == epochs


def test_evaluator_may_have_one_metric(tmp_path, data_root):
    more = "\ntest_evaluator = dict(_delete_=True, type='Evaluator', metrics=dict(type='AccMetric'))"
    evaluator = read_config(write_config(tmp_path, data_root, more)).test_evaluator
    assert [metric['type'] for metric in evaluator.metrics] == ['AccMetric', 'ClipScores']


def test_concatenated_data_sets_follow_the_decoder(tmp_path, data_root):
    more = (
        "\nparts = [train_dataloader['dataset']] * 2"
        "\ntrain_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=parts))"
    )
    config = read_config(write_config(tmp_path, data_root, more), options={'decoder': 'OpenCV'})
    readers = [dataset.pipeline[0].type for dataset in datasets(config) if 'pipeline' in dataset]
    assert readers == ['OpenCVInit'] * 4
    assert dataset_of(config, 'train_dataloader').type == 'ConcatDataset'  # not one of its parts: checks list all clips


def test_printed_config_keeps_its_variables(config_file, tmp_path):
    """Its parts do not follow them any more, which stock tools, too, report when an option changes one."""
    text = printed(read_config(config_file, options={'clip.frames': 4}))
    (tmp_path / 'printed.py').write_text(text)
    resolve(Config.fromfile(tmp_path / 'printed.py'))
    assert read_config(tmp_path / 'printed.py').model.backbone.num_segments == 4
    for name, value in (('clip.frames', 2), ('train_cfg.max_epochs', 7), ('data_root', 'elsewhere')):
        config = Config.fromfile(tmp_path / 'printed.py')
        config.merge_from_dict({name: value})
        with pytest.raises(
            UserError, match=rf'{name} is {value}, but .*printed\.py was printed with .*\. Give the option'
        ):
            resolve(config)


def test_balanced_sampling_changes_the_training_alone(config_file):
    config = read_config(config_file, options={'balanced_sampling': True})
    assert config.train_dataloader.sampler.type == 'BalancedSampler'
    assert config.val_dataloader.sampler.type == config.test_dataloader.sampler.type == 'DefaultSampler'
    with pytest.raises(UserError, match=r'balanced_sampling is True, and .* trains with RepeatedSampler'):
        read_config(
            config_file,
            options={'balanced_sampling': True, 'train_dataloader.sampler.type': 'RepeatedSampler'},
        )
