"""Every config has a description, builds, trains a step on real videos, predicts, and reloads its weights."""

import copy
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

import tvn_mmaction  # noqa: F401 - registers what the configs name
from tests.videos import write_video
from tvn_mmaction.config.loaders import datasets
from tvn_mmaction.config.loading import read_config, resolve
from tvn_mmaction.config.variables import FOLLOWING_CLIP, Change, is_reference
from tvn_mmaction.datasets.demo import ACTIONS
from tvn_mmaction.datasets.manifest import Clip, write_manifest
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.preparation.ucf50_inventory import UCF50_CLASSES
from tvn_mmaction.datasets.protocols import DROPPED, assign_folds, validation_split
from tvn_mmaction.datasets.transforms.pipeline_inspection import frames_per_image
from tvn_mmaction.datasets.video_reader import VERSION
from tvn_mmaction.deploy.allowlist import check_model
from tvn_mmaction.deploy.inference_network import without_initialisation
from tvn_mmaction.features.extraction import LayerFeatures
from tvn_mmaction.models.backbones.tvn_architectures import ARCHITECTURES
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import sha256_of

pytestmark = pytest.mark.usefixtures('mmaction_scope')
FOLDER = Path(__file__).parents[2] / 'configs'
FILES = sorted([*FOLDER.glob('*.py'), *FOLDER.glob('[!_]*/*.py')])
CLASSES = 50
# Frames and pixels of the clips that a step is taken with, and what makes deep models shallow for it.
TINY_CLIP = {'clip.frames': 4, 'clip.size': 32}
TINY = {
    'i3d_r50': {'clip.frames': 8},
    'i3d_r50_nonlocal': {'clip.frames': 8},
    'ipcsn_r152': {'model.backbone.depth': 50},
    'slowfast_r50': {'clip.frames': 8},
    'timesformer': {'model.backbone.num_transformer_layers': 2},
    'tvn1_distilled': {'model.teacher_share': 0},  # its teachers are to be trained first
}


def write_data_root(folder: Path, split: dict, subset: str) -> Path:
    """Describe UCF50 in small: two videos that the split trains on, one shorter than any clip, and one that it tests.

    Where the subset 'fit' is trained on there is also one for the validation. All others cannot be read, so that there
    are 50 classes.
    """
    names = [f'{name}/v_{name}_g{group:02d}_c01.avi' for name in UCF50_CLASSES for group in range(1, 26)]
    clips = [Clip(name, name.partition('/')[0], name[-10:-8], problem='the file is empty') for name in names]
    protocol, seed = split['protocol'], split['seed']
    folds = validation_split(clips, assign_folds(clips, protocol, seed), split['fold'], protocol, seed)
    videos = [('Biking', 'fit', 45), ('YoYo', 'fit', 5), ('Biking', 'test', 30)]
    sides = [{DROPPED: 'test', 0: 'validation'}.get(fold, 'fit') for fold in folds]
    for class_name, side, frames in [*videos, ('Biking', 'validation', 20)] if subset == 'fit' else videos:
        index = next(index for index, clip in enumerate(clips) if (clip.class_name, sides[index]) == (class_name, side))
        video = write_video(folder / clips[index].path, frames)
        clips[index] = clips[index]._replace(problem='', frames=frames, sha256=sha256_of(video), reader=VERSION)
    write_manifest(folder / 'manifest.csv', clips)
    return folder


@pytest.fixture(scope='module')
def small_ucf50(tmp_path_factory):
    """A function from a split and the subset to train on to the folder that `write_data_root` has filled for them."""
    return functools.cache(
        lambda subset, **split: write_data_root(tmp_path_factory.mktemp(split['protocol']), split, subset),
    )


@pytest.fixture(scope='module')
def small_flow(small_ucf50):
    """A function as `small_ucf50`, whose folders have a frame store with optical flow as well."""

    @functools.cache
    def stored(**split):
        build_frames(small_ucf50(**split), 32, flow=True)
        return small_ucf50(**split)

    return stored


@functools.cache
def raw(file: Path) -> Config:
    """Return a config as it is in its file; not to be changed."""
    return Config.fromfile(file)


@functools.cache
def resolved(file: Path) -> Config:
    """Return the config of a run without options; not to be changed."""
    return read_config(file)


# Those that learn no classes have tests of their own, in tests/apis/test_pretraining.py.
CLASSIFYING_FILES = [file for file in FILES if not file.stem.startswith('pretrain_')]
OF_OTHER_NETWORKS = ('recurrent', 'selected')  # by folder or name; they need what another tool made
SAMPLING_FILES = [
    file
    for file in CLASSIFYING_FILES
    if not any(word in f'{file.parent.name}/{file.stem}' for word in OF_OTHER_NETWORKS)
]
UCF50_FILES = [file for file in SAMPLING_FILES if '_ucf50' in file.stem]

every_config = pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
every_classifying_config = pytest.mark.parametrize('file', CLASSIFYING_FILES, ids=lambda file: file.stem)
# Those that need nothing that another tool makes of trained networks.
every_sampling_config = pytest.mark.parametrize('file', SAMPLING_FILES, ids=lambda file: file.stem)
MAX_FAST_MACS = 20e9


def without_slow_marker() -> set[Path]:
    """Return the cheapest config of each network and folder, by the measured costs in the metafile."""
    metafile = yaml.safe_load((FOLDER / 'metafile.yml').read_text(encoding='utf-8'))
    cheapest = {}
    for model in sorted(metafile['Models'], key=lambda model: (model['Metadata']['FLOPs'], model['Config'])):
        file = FOLDER.parent / model['Config']
        if file in UCF50_FILES and model['Metadata']['FLOPs'] <= MAX_FAST_MACS:
            cheapest.setdefault((model['In Collection'], file.parent), file)
    return set(cheapest.values())


FAST_FILES = without_slow_marker()


def with_speed(file: Path) -> Any:
    return pytest.param(file, id=file.stem, marks=[] if file in FAST_FILES else [pytest.mark.slow])


every_step = pytest.mark.parametrize('file', map(with_speed, UCF50_FILES))


def tiny(file: Path) -> dict:
    """Return the options that make a config's model quick to train a step."""
    name = file.stem.removesuffix('_ucf50')
    options = {**TINY_CLIP, **TINY.get(name, {})}
    others = {f'clip.{part}' for part in ('frames', 'size')} - {f'clip.{part}' for part in resolved(file).clip}
    return {option: value for option, value in options.items() if option not in others}


def classifier(model: torch.nn.Module) -> torch.nn.Linear:
    """Return the layer whose outputs are the classes."""
    linear = [module for module in model.cls_head.modules() if isinstance(module, torch.nn.Linear)]
    return [module for module in linear if module.out_features == model.cls_head.num_classes][-1]


def build(config: Config) -> torch.nn.Module:
    """Build the model without memory for its weights, where it does not compute while it is built."""
    eager = {'SwinTransformer3D', 'TANet', 'UniFormer'}
    blends = config.model.data_preprocessor.get('blending')
    with torch.device('cpu' if config.model.backbone.type in eager or blends else 'meta'):
        return MODELS.build(config.model)


def predict(model: torch.nn.Module, batch: dict) -> list:
    """Return the model's predictions; TRN draws the frames that it relates by NumPy."""
    np.random.seed(0)
    model.train(False)
    with torch.no_grad():
        return model.test_step(copy.deepcopy(batch))


def recipe(file: Path) -> str:
    """Return the comment at a config's head as one line."""
    lines = []
    for line in file.read_text(encoding='utf-8').splitlines():
        if not line.startswith('#'):
            break
        lines.append(line.removeprefix('#').strip())
    return ' '.join(lines)


def strings(value) -> Iterator[str]:
    """Yield every string in a config."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def transform(config: Config, loader: str, prefix: str) -> dict:
    """Return the one transform of a pipeline whose name starts like this."""
    (found,) = (step for step in config[loader].dataset.pipeline if step.type.startswith(prefix))
    return found


def images(config: Config, loader: str) -> int:
    """Return how many images of a clip a network gets."""
    sampling = transform(config, loader, 'Sample')
    return sampling.clip_len * sampling.get('num_clips', 1) // frames_per_image(config[loader].dataset.pipeline)


def test_configs_are_found_and_their_bases_begin_with_a_comment():
    assert {'tvn1_ucf50', 'tvn1_ucf50_first80', 'tvn4_ucf50', 'c3d_ucf50'} <= {file.stem for file in UCF50_FILES}
    assert all(map(recipe, FOLDER.glob('_base_/*.py')))


@every_config
def test_short_and_begins_with_its_recipe(file):
    assert len(file.read_text(encoding='utf-8').splitlines()) < 30
    assert recipe(file)


@every_config
def test_raw_config_names_the_runner(file):
    config = raw(file)
    for part in ('model', 'optim_wrapper', 'randomness', 'runner_type', 'dataloader_type'):
        assert resolved(file)[part] == config[part]
    assert resolved(file).train_cfg.type == config.train_cfg.type
    assert config.custom_imports.imports == ['tvn_mmaction'] and config.default_scope == 'mmaction'
    assert resolved(file).default_hooks.keys() == config.default_hooks.keys()


@every_config
def test_resolved_config_stays_as_it_is(file, tmp_path):
    """It is written, read by MMEngine alone and resolved again; its model and its test data set are built."""
    text = tmp_path / file.name
    text.write_text(resolved(file).pretty_text)
    config = Config.fromfile(text)
    assert config.to_dict() == resolved(file).to_dict()
    assert not [value for value in strings(config.to_dict()) if is_reference(value)]
    build(copy.deepcopy(config))  # some models change their config
    if file in SAMPLING_FILES:
        assert Compose(config.test_dataloader.dataset.pipeline)
    resolve(config, Change({}, copy.deepcopy(config)))
    assert config.to_dict() == resolved(file).to_dict()


@every_config
def test_names_no_path_of_a_machine(file):
    named = list(strings(raw(file).to_dict()))
    assert {'train', 'fit'} & set(named)
    assert not [name for name in named if name.startswith(('/', '~', '\\', 'file:')) or re.match(r'[A-Za-z]:\\', name)]


@every_config
def test_no_weights_are_loaded_and_none_chosen_by_test_accuracy(file):
    config = resolved(file)
    assert config.load_from is config.default_hooks.checkpoint.save_best is None
    assert config.model.backbone.get('pretrained') is config.model.backbone.get('init_cfg') is None


@every_sampling_config
def test_recipe_names_what_the_pipelines_do(file):
    config, words = resolved(file), recipe(file)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if config.model.type != 'RecognizerAudio':
            height, width = transform(config, loader, 'Resize').scale
            assert f'{height} x {width} pixels' in words
        sampling = transform(config, loader, 'Sample')
        frames = sampling.clip_len * sampling.get('num_clips', 1)
        assert f'{frames} ' in words
        expected = {'MIX2d3d': 'NCTHW', None: 'NCTF' if config.model.type == 'RecognizerAudio' else 'NCHW'}
        shape = config.model.data_preprocessor.get('format_shape')
        assert transform(config, loader, 'Format').input_format == expected.get(shape, shape)
        if frames == 1:
            assert '1 frame of' in words
        elif sampling.get('num_clips', 1) == 1 and sampling.frame_interval > 1 and sampling.type == 'SampleFrames':
            assert f'stride {sampling.frame_interval}' in words


@every_config
def test_data_sets_follow_the_variable_split(file):
    config = resolved(file)
    # A network whose thresholds are chosen on a validation is not trained on it.
    subsets = {'train': ('train', 'fit'), 'val': ('test', 'validation'), 'test': ('test',)}
    for loader, known in subsets.items():
        dataset = config[f'{loader}_dataloader'].dataset
        assert dataset.subset in known
        assert {name: dataset[name] for name in config.split} == config.split
    other = read_config(file, options={'split.protocol': 'logo', 'split.fold': 7})
    assert all((dataset.protocol, dataset.fold) == ('logo', 7) for dataset in datasets(other))


@pytest.mark.parametrize(
    ('name', 'protocol'), [('tvn1_ucf50', 'videowise'), ('tvn1_ucf50_group5', 'group5'), ('tvn1_ucf50_logo', 'logo')]
)
def test_protocol_in_the_name_is_the_only_difference(name, protocol):
    config, base = (read_config(FOLDER / f'{file}.py').to_dict() for file in (name, 'tvn1_ucf50'))
    assert config['split'] == {'protocol': protocol, 'fold': 0, 'seed': 0}
    for each in (config, base):
        for dataset in datasets(each):
            del dataset['protocol']
        del each['split'], each['work_dir'], each['clips']
    assert config == base


@every_sampling_config
def test_backbone_gets_the_clips_of_the_pipeline(file):
    config = resolved(file)
    backbone, sampling = config.model.backbone, transform(config, 'train_dataloader', 'Sample')
    if backbone.type != 'TinyVideoNet':
        return
    assert backbone.num_segments == images(config, 'train_dataloader')
    if 'at the input of its release' in recipe(file):
        arch = ARCHITECTURES[backbone.arch]
        size = transform(config, 'train_dataloader', 'Resize').scale[0]
        assert (sampling.clip_len, sampling.frame_interval, size) == (arch.frames, arch.frame_stride, arch.image_size)


@every_classifying_config
def test_model_builds_and_its_classifier_fits_the_data(file):
    config = resolved(file)
    model = build(config)
    classes = CLASSES if config.train_dataloader.dataset.type == 'UCF50Dataset' else len(ACTIONS)
    assert classifier(model).out_features == classes
    if hasattr(model, 'neck'):
        assert model.neck.aux_head.fc.out_features == classes


@every_config
def test_types_of_the_model_may_be_in_a_file(file):
    """A checkpoint with another type is refused, so no config of recognizers of frames may have one."""
    model = resolved(file).model
    if model.type not in ('RecognizerAudio', 'RecognizerOmni'):  # which are not deployed
        check_model(without_initialisation(model.to_dict()), file)


@every_sampling_config
def test_pipelines_and_model_follow_the_variable_clip(file):
    """They agree with it as they stand, and with what the command line makes of it."""
    own = {name: value for name, value in resolved(file).clip.items() if name in ('frames', 'size')}
    for clip in (own, {name: value for name, value in (('frames', 16), ('size', 32)) if name in own}):
        config = read_config(file, options={f'clip.{name}': value for name, value in clip.items()})
        assert {name: config.clip[name] for name in clip} == clip
        frames, size = clip.get('frames'), clip.get('size')  # those of some are fixed; sounds have no size
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if images(resolved(file), loader) > 1:  # else it stays at one
                assert images(config, loader) == (frames or images(resolved(file), loader))
            assert size is None or tuple(transform(config, loader, 'Resize').scale) == (size, size)
        for part in (config.model.backbone, config.model.cls_head):
            for name, expected in FOLLOWING_CLIP.items():
                assert part.get(name, clip.get(expected)) == clip.get(expected)
    assert config.model.backbone.get('out_dim', 2048) == 2048  # of C3D at 32 x 32 pixels
    if config.model.type == 'Recognizer2D':
        parts = [module for module in build(config).modules() if hasattr(module, 'num_segments')]
        assert {part.num_segments for part in parts} <= {frames}


def test_dense_clip_of_fewer_frames_sees_as_much_of_the_video():
    config = read_config(FOLDER / 'baselines/slowonly_r50_ucf50.py', options={'clip.frames': 16})
    assert transform(config, 'test_dataloader', 'Sample').frame_interval == 4


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('c2d_r50', {'clip.frames': 1}, r'clip\.frames is 1, which C2D .*\. Give at least 2'),
        ('c3d', {'clip.frames': 8}, r'clip\.frames is 8, and .*c3d_ucf50\.py has size only, since C3D takes 16 frames'),
        ('c3d', {'clip.size': 15}, r'clip\.size is 15, which C3D .*\. Give at least 16'),
        ('i3d_r50', {'clip.frames': 4}, r'clip\.frames is 4, which ResNet3d .*\. Give at least 5'),
        ('../early_exit/tsm_online_r18', {'clip.frames': 2}, r'clip\.frames is 2, which OnlineResNetTSM .*least 3'),
        ('mvit_small', {'clip.size': 24}, r'clip\.size is 24, which MViT .*\. Give at least 32'),
        ('slowfast_r50', {'clip.frames': 12}, r'clip\.frames is 12, which ResNet3dSlowFast .*\. Give a multiple of 8'),
        ('tanet_r50', {'clip.frames': 2}, r'clip\.frames is 2, which TANet .*\. Give at least 3'),
        ('timesformer', {'clip.size': 200}, r'clip\.size is 200, which TimeSformer .*\. Give a multiple of 16'),
        ('trn_r50', {'clip.frames': 32}, r'clip\.frames is 32, which TRNHead .*\. Give at least 2 and at most 16'),
        ('tsn_r50', {'clip.frames': 0}, r'clip\.frames is 0\. Give a whole number above 0'),
        ('uniformer_small', {'clip.size': 24}, r'clip\.size is 24, which UniFormer .*\. Give at least 32'),
    ],
)
def test_clip_that_does_not_fit_the_model_is_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        read_config(FOLDER / f'baselines/{name}_ucf50.py', options=options)


def test_clip_of_features_suggests_their_length():
    with pytest.raises(UserError, match=r'clip.*r18_ucf50\.py has no such variable, and features\.length sets the s'):
        read_config(FOLDER / 'recurrent/lstm_single_frame_r18_ucf50.py', options={'clip.frames': 4})


@every_step
def test_trains_a_step_predicts_and_reloads(file, small_ucf50, small_flow):
    own = resolved(file)
    write = small_flow if own.decoder == 'FrameStore' else small_ucf50
    data_root = write(subset=own.train_dataloader.dataset.subset, **own.split)
    config = read_config(file, data_root=str(data_root), options=tiny(file))
    loaders = [config.test_dataloader, config.train_dataloader, *config.train_cfg.get('other_loaders', [])]
    for loader in loaders:
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    (testing_batch,), *training_batches = (list(Runner.build_dataloader(loader, seed=0)) for loader in loaders)
    training_batch = training_batches[0][0] if len(loaders) == 2 else [batch for (batch,) in training_batches]
    for (batch,) in training_batches:
        assert sorted(sample.gt_label.item() for sample in batch['data_samples']) == [3, 49]

    model = MODELS.build(config.model)
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    before = classifier(model).weight.detach().clone()
    logged = model.train().train_step(training_batch, optim_wrapper)
    assert logged['loss'].isfinite()
    assert not torch.equal(classifier(model).weight, before)
    assert all(parameter.isfinite().all() for parameter in model.parameters())

    (prediction,) = predict(model, testing_batch)
    assert prediction.pred_score.shape == (CLASSES,)
    assert prediction.pred_score.sum().item() == pytest.approx(1, abs=1e-4)
    assert prediction.gt_label.item() == 3

    if file.parent.name != 'early_exit':  # networks with early exits have several heads
        with torch.no_grad():
            features = LayerFeatures(model)(testing_batch)
        assert features.ndim == 3 and len(features) == 1 and features.isfinite().all()

    reloaded = build(config)  # so that whatever the checkpoint lacks cannot compute
    reloaded.load_state_dict(model.state_dict(), strict=True, assign=True)
    reloaded.data_preprocessor = model.data_preprocessor  # constants of the config
    (again,) = predict(reloaded, testing_batch)
    torch.testing.assert_close(again.pred_score, prediction.pred_score)
