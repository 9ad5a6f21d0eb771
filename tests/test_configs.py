"""Every config says what it does, builds, takes a step on real videos, predicts, and keeps its weights."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import tvn_mmaction  # noqa: F401 - registers what the configs name
from tests.videos import write_video
from tvn_mmaction.datasets import Clip, assign_folds
from tvn_mmaction.datasets.demo import ACTIONS
from tvn_mmaction.datasets.inventory import UCF50_CLASSES
from tvn_mmaction.datasets.manifest import write_manifest
from tvn_mmaction.engine import read_config
from tvn_mmaction.engine.config import datasets
from tvn_mmaction.models import ARCHITECTURES

FOLDER = Path(__file__).parents[1] / 'configs'
FILES = sorted([*FOLDER.glob('*.py'), *FOLDER.glob('compare/*.py')])
UCF50_FILES = [file for file in FILES if '_ucf50' in file.stem]
CLASSES = 50

every_config = pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
every_ucf50_config = pytest.mark.parametrize('file', UCF50_FILES, ids=lambda file: file.stem)


@pytest.fixture(autouse=True)
def mmaction_scope():
    """Models and pipelines are built under MMAction2's scope, as the runner does."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


def write_data_root(folder: Path, split: dict) -> Path:
    """Describe UCF50 in small: two videos that the split trains on, one shorter than any clip, and one that it tests.

    All others cannot be read, so that there are 50 classes.
    """
    names = [f'{name}/v_{name}_g{group:02d}_c01.avi' for name in UCF50_CLASSES for group in range(1, 26)]
    clips = [Clip(name, name.partition('/')[0], name[-10:-8], problem='the file is empty') for name in names]
    folds = assign_folds(clips, split['protocol'], split['seed'])
    for class_name, tested, frames in (('Biking', False, 45), ('YoYo', False, 5), ('Biking', True, 30)):
        index = next(
            index
            for index, clip in enumerate(clips)
            if clip.class_name == class_name and (folds[index] == split['fold']) == tested
        )
        write_video(folder / clips[index].path, frames)
        clips[index] = clips[index]._replace(problem='', frames=frames)
    write_manifest(folder / 'manifest.csv', clips)
    return folder


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


def test_configs_are_found():
    assert {'tvn1_ucf50', 'tvn1_ucf50_first80', 'tvn4_ucf50', 'c3d_ucf50'} <= {file.stem for file in UCF50_FILES}


@every_config
def test_short_and_begins_with_its_recipe(file):
    assert len(file.read_text(encoding='utf-8').splitlines()) < 30
    assert re.search(r'\d s at 25 fps', recipe(file))


@pytest.mark.parametrize('file', sorted(FOLDER.glob('_base_/*.py')), ids=lambda file: file.stem)
def test_base_begins_with_a_comment(file):
    assert recipe(file)


@every_config
def test_loads_with_and_without_this_package(file):
    ours, stock = read_config(file), Config.fromfile(file)
    for part in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'default_hooks', 'randomness'):
        assert ours[part] == stock[part]
    assert ours.custom_imports.imports == ['tvn_mmaction']
    assert ours.default_scope == 'mmaction'


@every_config
def test_names_no_path_of_a_machine(file):
    named = list(strings(Config.fromfile(file).to_dict()))
    assert 'train' in named
    assert not [name for name in named if name.startswith(('/', '~', '\\', 'file:')) or re.match(r'[A-Za-z]:\\', name)]


@every_config
def test_loads_no_pretrained_weights(file):
    config = Config.fromfile(file)
    assert config.load_from is None
    assert config.model.backbone.get('pretrained') is None
    assert config.model.backbone.get('init_cfg') is None


@every_config
def test_no_checkpoint_is_chosen_by_test_accuracy(file):
    assert Config.fromfile(file).default_hooks.checkpoint.save_best is None


def test_base_chooses_no_checkpoint_by_test_accuracy():
    assert Config.fromfile(FOLDER / '_base_/default_runtime.py').default_hooks.checkpoint.save_best is None


@every_config
def test_recipe_tells_what_the_pipelines_do(file):
    config, words = Config.fromfile(file), recipe(file)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        height, width = transform(config, loader, 'Resize').scale
        assert f'{height} x {width} pixels' in words
        sampling = transform(config, loader, 'Sample')
        frames = sampling.clip_len * sampling.get('num_clips', 1)
        assert f'{frames} ' in words
        assert (
            config.model.data_preprocessor.get('format_shape', 'NCHW')
            == transform(config, loader, 'Format').input_format
        )
        if sampling.get('num_clips', 1) == 1:
            spanned, seconds = re.search(r'spans (\d+) frames, ([\d.]+) s at 25 fps', words).groups()
            assert int(spanned) == (sampling.clip_len - 1) * sampling.frame_interval + 1
            assert float(seconds) == pytest.approx(int(spanned) / 25, abs=0.5 * 10 ** -len(seconds.split('.')[1]))
        else:
            assert 'spans the whole clip' in words


@every_config
def test_variable_split_is_that_of_the_data_sets(file):
    """MMAction2's own tools see the data sets only, this package's also the variable."""
    config = Config.fromfile(file)
    for loader, subset in (('train_dataloader', 'train'), ('val_dataloader', 'test'), ('test_dataloader', 'test')):
        dataset = config[loader].dataset
        assert dataset.subset == subset
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
        del each['split'], each['work_dir']
    assert config == base


@every_config
def test_backbone_gets_the_clips_of_the_pipeline(file):
    config = Config.fromfile(file)
    backbone, sampling = config.model.backbone, transform(config, 'train_dataloader', 'Sample')
    if backbone.type != 'TinyVideoNet':
        return
    assert backbone.num_segments == sampling.clip_len * sampling.get('num_clips', 1)
    if 'at the input of its release' in recipe(file):
        arch = ARCHITECTURES[backbone.arch]
        size = transform(config, 'train_dataloader', 'Resize').scale[0]
        assert (sampling.clip_len, sampling.frame_interval, size) == (arch.frames, arch.frame_stride, arch.image_size)


@every_config
def test_model_builds_and_its_classifier_fits_the_data(file):
    config = read_config(file)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert model.cls_head.fc_cls.out_features == config.model.cls_head.num_classes
    classes = {'UCF50Dataset': CLASSES, 'DemoDataset': len(ACTIONS)}
    assert config.model.cls_head.num_classes == classes[config.train_dataloader.dataset.type]


@every_ucf50_config
def test_trains_a_step_predicts_and_reloads(file, tmp_path):
    config = read_config(file, data_root=str(write_data_root(tmp_path, Config.fromfile(file).split)))
    size = 112 if config.model.backbone.type == 'C3D' else 32  # C3D's linear layers fix it
    for dataset in datasets(config):
        for step in dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (size, size)
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    (training_batch,), (testing_batch,) = (
        list(Runner.build_dataloader(loader, seed=0)) for loader in (config.train_dataloader, config.test_dataloader)
    )
    assert sorted(sample.gt_label.item() for sample in training_batch['data_samples']) == [3, 49]

    model = MODELS.build(config.model)
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    before = model.cls_head.fc_cls.weight.detach().clone()
    logged = model.train().train_step(training_batch, optim_wrapper)
    assert logged['loss'].isfinite()
    assert not torch.equal(model.cls_head.fc_cls.weight, before)
    assert all(parameter.isfinite().all() for parameter in model.parameters())

    model.train(False)
    with torch.no_grad():
        (prediction,) = model.test_step(testing_batch)
    assert prediction.pred_score.shape == (CLASSES,)
    assert prediction.pred_score.sum().item() == pytest.approx(1, abs=1e-4)
    assert prediction.gt_label.item() == 3

    with torch.device('meta'):  # so that whatever the checkpoint lacks cannot compute
        reloaded = MODELS.build(config.model)
    reloaded.load_state_dict(model.state_dict(), strict=True, assign=True)
    reloaded.data_preprocessor = model.data_preprocessor  # constants of the config
    reloaded.train(False)
    with torch.no_grad():
        (again,) = reloaded.test_step(testing_batch)
    torch.testing.assert_close(again.pred_score, prediction.pred_score)
