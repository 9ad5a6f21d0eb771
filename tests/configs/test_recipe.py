"""The recipe: what each part must keep true, and that without all of them it is the plain experiment."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmaction.registry import HOOKS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from torch import nn

from tests.configs.test_configs import build
from tests.small_experiment import PARTS, REPOSITORY, STRONG, write_config, write_data
from tvn_mmaction.apis import train_test
from tvn_mmaction.config.loaders import dataset_of, datasets
from tvn_mmaction.config.loading import config_name, read_config
from tvn_mmaction.experiments.comparison.comparison_plan import configs_on_equal_terms
from tvn_mmaction.models.backbones.tiny_video_net import TinyVideoNet
from tvn_mmaction.utils.errors import UserError

pytestmark = pytest.mark.usefixtures('mmaction_scope')
CONFIGS = REPOSITORY / 'configs'
RECIPE = CONFIGS / 'recipes/tvn1_ucf50.py'
NETWORKS = [CONFIGS / f'recipes/{name}_ucf50.py' for name in ('tvn1', 'tsn_r18', 'tsm_r18', 'x3d_s')]
HEAVY = CONFIGS / 'recipes/tvn1_heavy_ucf50.py'
SWITCHES = yaml.safe_load((CONFIGS / 'recipes/parts.yaml').read_text())
SMALL = {'clip.frames': 4, 'clip.size': 32}
TWO_BLOCKS = dict(
    frames=2, frame_stride=1, image_size=32,
    blocks=[
        dict(spatial=('conv', 4, 2), temporal=('maxpool', 2, 2), filters=4, expand=2, context_gate=True),
        dict(spatial=('conv', 3, 2), temporal=('avgpool', 1, 1), filters=4, expand=2, repeats=2, skip=True),
    ],
)  # fmt: skip

every_network = pytest.mark.parametrize('file', NETWORKS, ids=lambda file: file.stem)


@HOOKS.register_module()
class KeepWeights(Hook):
    """Stores the weights after every step."""

    priority = 'VERY_HIGH'
    steps: list[dict] = []  # noqa: RUF012

    def after_train_iter(self, runner, **kwargs):
        """Store the weights."""
        self.steps.append({name: value.clone() for name, value in runner.model.state_dict().items()})


@functools.cache
def off(*names: str, parts: str = 'parts') -> dict:
    """Return the options that switch parts off, by default all."""
    switches = yaml.safe_load((CONFIGS / f'recipes/{parts}.yaml').read_text())
    return {option: value for name in names or switches for option, value in switches[name].items()}


@pytest.mark.parametrize('parts', ['parts', 'groups_of_parts'])
def test_recipe_without_its_parts_is_the_plain_experiment(parts):
    options = {**off(parts=parts), 'train_cfg.max_epochs': 40, 'split.protocol': 'videowise'}
    recipe = read_config(RECIPE, options=options)
    plain = read_config(CONFIGS / 'tvn1_ucf50.py')
    assert recipe.default_hooks.pop('ema') is None
    assert recipe.optim_wrapper.pop('paramwise_cfg') is None
    for name in ('label_smooth_eps', 'blending'):
        (value,) = (part.pop(name) for part in recipe.model.values() if isinstance(part, dict) and name in part)
        assert value in (0, None)
    names = ('model', 'default_hooks', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'randomness', 'clip', 'split')
    for name in (*names, *(f'{part}_{kind}' for part in ('train', 'val', 'test') for kind in ('cfg', 'dataloader'))):
        assert recipe[name] == plain[name], name


@pytest.mark.parametrize('name', SWITCHES)
def test_each_part_is_one_that_the_recipe_has(name):
    before, after = read_config(RECIPE), read_config(RECIPE, options=off(name))
    assert after.keys() == before.keys()
    differing = [key for key in before if before[key] != after[key] and key not in ('options', 'augmentation')]
    assert differing and set(differing) <= {'model', 'optim_wrapper', 'default_hooks', 'train_dataloader'}
    if name in before.augmentation:
        steps = [step for step in dataset_of(before, 'train_dataloader').pipeline if step.type == 'Augmentation']
        left = [step for step in dataset_of(after, 'train_dataloader').pipeline if step.type == 'Augmentation']
        there, here = ([part for step in found for part in step.order] for found in (steps, left))
        assert here == [part for part in there if part != name]


@pytest.mark.parametrize('option', ['augmentation.flop', 'augmentation.blur.size'])
def test_unknown_augmentation_step_is_refused(option):
    with pytest.raises(UserError, match=r'no training pipeline of .* has such a step\. Known are .*flip'):
        read_config(RECIPE, options={option: None})


def test_step_follows_the_variable_and_no_test_sees_it():
    config = read_config(HEAVY, options={'augmentation.rand_augment.magnitude': 7, 'augmentation.flip': None})
    span, of_frames = (step for step in config.train_dataloader.dataset.pipeline if step.type == 'Augmentation')
    assert of_frames.rand_augment.magnitude == 7 and 'flip' not in of_frames
    assert (span.order, of_frames.order) == (['span'], ['crop', 'colour', 'rand_augment', 'erasing'])
    for dataset in datasets(config, ('val_dataloader', 'test_dataloader')):
        assert 'Augmentation' not in [step.type for step in dataset.pipeline]


@pytest.mark.slow
def test_networks_are_compared_with_the_augmentation_and_the_average_of_the_first(tmp_path):
    data_root = str(write_data(tmp_path))
    files = [RECIPE, CONFIGS / 'baselines/tsn_r18_ucf50.py', CONFIGS / 'recipes/x3d_s_ucf50.py']
    for options, steps in (({'augmentation.flip': None}, ['span', 'crop', 'colour']), ({'augmentation': None}, [])):
        configs = configs_on_equal_terms(files, tmp_path / f'compared{len(steps)}', data_root, options)
        assert [Path(config.work_dir).name for config in configs] == [config_name(file) for file in files]
        for config in configs:
            pipeline = config.train_dataloader.dataset.pipeline
            found = [name for step in pipeline if step.type == 'Augmentation' for name in step.order]
            expected = [name for name in steps if name != 'span' or config is not configs[2]]  # its frames are dense
            assert found[: len(expected)] == expected and bool(found) == bool(steps)
            assert config.default_hooks.ema.gamma == 10


def test_recipe_is_for_whole_groups_and_is_not_called_as_the_plain_experiment():
    for file in NETWORKS:
        assert read_config(file).split.protocol == 'ucf101like'
    assert config_name(RECIPE) == 'recipes_tvn1_ucf50' and config_name(CONFIGS / 'tvn1_ucf50.py') == 'tvn1_ucf50'
    assert read_config(RECIPE).work_dir == 'work_dirs/recipes_tvn1_ucf50'


@every_network
def test_mixed_labels_are_distributions_and_frames_are_mixed_alike(file):
    model = MODELS.build(read_config(file, options=SMALL).model)
    clips = [torch.full((4, 3, 32, 32) if 'x3d' not in file.stem else (1, 3, 4, 32, 32), 60 * i) for i in range(4)]
    seen = set()
    for _ in range(8):
        samples = [ActionDataSample().set_gt_label(label) for label in range(4)]
        data = model.data_preprocessor({'inputs': [clip.clone() for clip in clips], 'data_samples': samples}, True)
        labels = torch.stack([sample.gt_label for sample in data['data_samples']])
        assert labels.shape == (4, 50)
        torch.testing.assert_close(labels.sum(1), torch.ones(4))
        frames = data['inputs'] if 'x3d' not in file.stem else data['inputs'][:, 0].transpose(1, 2)
        assert torch.equal(frames, frames[:, :1].expand_as(frames))
        pixels = frames[:, 0, 0].flatten(1)
        seen.add('MixUp' if (pixels == pixels[:, :1]).all() else 'CutMix')
    assert seen == {'MixUp', 'CutMix'}

    given = []
    model.cls_head.loss_cls.forward = lambda scores, labels: given.append(labels) or scores.sum()
    model.cls_head.loss_by_feat(torch.zeros(4, 50), data['data_samples'])
    torch.testing.assert_close(given[0].sum(1), torch.ones(4))
    assert given[0].min().item() == pytest.approx(0.1 / 50)  # smoothed as well


def test_classes_of_the_mixed_labels_follow_the_data(tmp_path):
    config = read_config(RECIPE, data_root=str(write_data(tmp_path)))
    counts = [part.num_classes for part in config.model.data_preprocessor.blending.augments]
    assert {config.model.cls_head.num_classes, *counts} == {3}


@every_network
def test_only_weights_that_multiply_decay(file):
    config = read_config(file)
    model = build(config)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    decays = {group['params'][0]: group['weight_decay'] for group in optimizer.param_groups}
    found = set()
    for name, parameter in model.named_parameters():
        plain = parameter.ndim == 1 or 'context_gate' in name or 'squeeze_excite' in name
        assert decays[parameter] == (0 if plain else 5e-4), name
        found.add(decays[parameter])
    assert found == {0, 5e-4}


def test_whole_clips_are_left_their_residual_connection_and_the_mean_stays():
    network = TinyVideoNet(TWO_BLOCKS, drop_path_rate=0.5)
    network.init_weights()
    last = network.blocks[1][1]
    assert last.drop_path.drop_prob == 0.5
    for module in last.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that clips do not depend on each other
    nn.init.constant_(last.residual[1].bias, 1e3)  # so that the ReLU after the sum has no effect
    clips, frames = 400, 3
    inputs = torch.rand(1, frames, 8, 4, 4).expand(clips, -1, -1, -1, -1).flatten(0, 1)
    with torch.no_grad():
        residual = last.residual(inputs).unflatten(0, (clips, frames))
        path = last.eval().forward_frames(inputs, frames)[0].unflatten(0, (clips, frames)) - residual
        last.training = last.drop_path.training = True
        found = last.forward_frames(inputs, frames)[0].unflatten(0, (clips, frames)) - residual
    kept = (found - 2 * path).abs().amax((1, 2, 3, 4)) < 1e-2
    lost = found.abs().amax((1, 2, 3, 4)) < 1e-2
    assert (kept ^ lost).all()
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_stochastic_depth_rises_with_depth_where_there_is_a_residual_connection():
    network = TinyVideoNet('tvn1', drop_path_rate=0.3)
    rates = {
        (index, number): repetition.drop_path.drop_prob
        for index, block in enumerate(network.blocks)
        for number, repetition in enumerate(block)
        if repetition.drop_path
    }
    assert rates == pytest.approx({(2, 0): 0.15, (2, 1): 0.2})  # the fourth and fifth of seven
    with pytest.raises(ValueError, match='drop_path_rate is 1; it must be at least 0 and below 1'):
        TinyVideoNet('tvn1', drop_path_rate=1)


def test_without_stochastic_depth_nothing_changes():
    torch.manual_seed(0)
    plain, without, deep = (
        TinyVideoNet(TWO_BLOCKS, **more) for more in ({}, {'drop_path_rate': 0}, {'drop_path_rate': 0.9})
    )
    plain.init_weights()
    for other in (without, deep):
        other.load_state_dict(plain.state_dict())
    clips = torch.rand(8, 3, 2, 32, 32)
    state = torch.get_rng_state()
    expected = plain(clips)
    assert torch.equal(without(clips), expected) and torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(deep(clips), expected)
    for network in (plain, deep):
        network.load_state_dict(without.state_dict())
    assert torch.equal(deep.eval()(clips), plain.eval()(clips))


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
    """A small training with all parts, its result and the weights after each step."""
    folder = tmp_path_factory.mktemp('strong')
    file = write_config(folder, write_data(folder), f"{STRONG}custom_hooks = [dict(type='KeepWeights')]\n")
    KeepWeights.steps.clear()
    result = train_test.train(read_config(file, str(folder / 'run')))
    return folder, file, result, list(KeepWeights.steps)


def test_averaged_weights_are_those_of_the_closed_form(experiment):
    folder, _, _, steps = experiment
    assert len(steps) == 6
    saved = torch.load(folder / 'run/epoch_2.pth', weights_only=True)
    # Weights enter with max(0.2, 2 / (2 + t)); what was there before keeps the rest.
    entered = [1, *(max(0.2, 2 / (2 + step)) for step in range(1, 6))]
    shares = [share * np.prod([1 - later for later in entered[step + 1 :]]) for step, share in enumerate(entered)]
    assert sum(shares) == pytest.approx(1)
    for name, value in saved['state_dict'].items():
        if value.is_floating_point():
            expected = sum(share * weights[name].double() for share, weights in zip(shares, steps, strict=True))
            torch.testing.assert_close(value.double(), expected, atol=1e-6, rtol=1e-5)
            assert torch.equal(saved['ema_state_dict'][f'module.{name}'], steps[-1][name])  # to resume with
    assert any(not torch.equal(saved['state_dict'][name], value) for name, value in steps[-1].items())


def test_averaged_weights_are_tested_after_training_and_from_the_checkpoint(experiment):
    folder, file, result, _ = experiment
    again = train_test.test(read_config(file, str(folder / 'again')), folder / 'run/epoch_2.pth')
    assert again.metrics == result.metrics
    first, second = (np.load(folder / name / 'scores.npz') for name in ('run', 'again'))
    assert np.array_equal(first['scores'], second['scores'])


def test_record_has_the_augmentation_and_no_accuracy_on_mixed_labels(experiment):
    folder, _, result, _ = experiment
    of_video, of_frames = (step for step in result.protocol.train_pipeline if step['type'] == 'Augmentation')
    expected = json.loads(json.dumps(PARTS['augmentation']))
    order = ['crop', 'flip', 'colour', 'rand_augment', 'erasing']
    assert {**of_video, **of_frames} == {'type': 'Augmentation', 'order': order, **expected}
    assert 'Augmentation' not in [step['type'] for step in result.protocol.test_pipeline]
    history = json.loads((folder / 'run/history.json').read_text())
    assert all('train_top1' not in entry and 'test_top1' in entry for entry in history)
