"""Feature extraction, also when interrupted, and training on features."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from tests.configs.test_configs import tiny
from tests.processes import interrupted_when
from tests.small_experiment import REPOSITORY, break_clip, call_tool, write_config, write_data
from tvn_mmaction.apis import train_test
from tvn_mmaction.checks.artifacts import check_training_artifacts
from tvn_mmaction.checks.run_plan import RunPlan
from tvn_mmaction.config.loaders import build_dataset, build_without_videos
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms.load_features import HEAD_INPUT, FeatureRecord, file_of
from tvn_mmaction.evaluation.costs import flow_costs
from tvn_mmaction.evaluation.provenance import config_digest, protocol, training_record
from tvn_mmaction.evaluation.report import results_table
from tvn_mmaction.features.extraction import LayerFeatures, dummy_batch, extract_features, pooled
from tvn_mmaction.utils.errors import UserError

TOOL = REPOSITORY / 'tools/extract_features.py'
ON_FEATURES = """
_base_ = '{repository}/configs/recurrent/lstm_single_frame_r50_ucf50.py'
split = dict(protocol='ucf101like', fold=0, seed=0)
features = dict(folder='{folder}', network='tiny', length=3)
loader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data_root}', protocol='ucf101like'))
train_dataloader = val_dataloader = test_dataloader = loader
model = dict(backbone=dict(cell='GRU', channels=4, bidirectional=True), cls_head=dict(in_channels=8))
train_cfg = dict(max_epochs=2)
"""


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
    """A small experiment with a checkpoint that records its training."""
    folder = tmp_path_factory.mktemp('experiment')
    file = write_config(folder, write_data(folder), 'train_cfg = dict(max_epochs=1)\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_test.train(read_config(file, 'trained'))
    return folder, file, folder / 'trained/epoch_1.pth'


@pytest.fixture(scope='module')
def config(experiment):
    return read_config(experiment[1])


@pytest.fixture(scope='module')
def extracted(experiment, config):
    folder, _, checkpoint = experiment
    extract_features(config, checkpoint, folder / 'features')
    return folder / 'features'


def arrays(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob('*.npy')}


@pytest.mark.parametrize('layer', [HEAD_INPUT, 'backbone', 'backbone.blocks.0', 'backbone.blocks.0.0.spatial'])
def test_features_equal_pooled_layer_outputs(experiment, config, tmp_path, layer):
    checkpoint = experiment[2]
    record, new, broken = extract_features(config, checkpoint, tmp_path, layer)
    assert (record.clips, new, broken, record.layer) == (12, 12, {}, layer)
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model)
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    model.train(False)
    kept = []
    name = 'backbone' if layer == HEAD_INPUT else layer
    model.get_submodule(name).register_forward_hook(lambda module, inputs, output: kept.append(output.detach().clone()))
    for subset in ('train', 'test'):
        clips = build_dataset(config, 'test_dataloader', subset=subset)
        for index in range(len(clips)):
            kept.clear()
            model.test_step(pseudo_collate([clips[index]]))
            (output,) = kept
            # (1, C, T, H, W) of the network, (T, C, H, W) of a layer inside of it
            expected = output.mean((3, 4))[0].T if output.ndim == 5 else output.mean((2, 3))
            found = np.load(file_of(tmp_path, clips.get_data_info(index)['sha256']))
            assert found.dtype == np.float32 and found.shape == (record.steps, record.channels)
            np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)


def check_continues(experiment, config, extracted, folder: Path) -> None:
    """Continue an interrupted extraction; existing files are not written again."""
    there = {path.name: path.stat().st_mtime_ns for path in folder.glob('*.npy')}
    assert 0 < len(there) < 12
    record, new, _ = extract_features(config, experiment[2], folder)
    assert new == 12 - len(there) and record.clips == 12
    assert there.items() <= {path.name: path.stat().st_mtime_ns for path in folder.glob('*.npy')}.items()
    assert not [path for path in folder.glob('.*') if path.name != '.lock']
    assert len(arrays(folder)) == 12
    for name in arrays(extracted):  # in other batches, which round otherwise
        np.testing.assert_allclose(np.load(folder / name), np.load(extracted / name), rtol=1e-4, atol=1e-6)


def test_interrupted_extraction_continues(experiment, config, extracted, tmp_path):
    with interrupted_when(lambda: arrays(tmp_path)), pytest.raises(KeyboardInterrupt):
        extract_features(config, experiment[2], tmp_path)
    check_continues(experiment, config, extracted, tmp_path)


def test_folder_of_other_features_is_refused(experiment, config, extracted):
    _, file, checkpoint = experiment
    before = arrays(extracted)
    with pytest.raises(
        UserError, match=r'of another layer \(input of cls_head, and here backbone\)\. Name another --out'
    ):
        extract_features(config, checkpoint, extracted, 'backbone')
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {'more': 1}, other := checkpoint.with_name('other.pth'))
    with pytest.raises(UserError, match='of another checkpoint_sha256'):
        extract_features(config, other, extracted)
    options = {'test_dataloader.dataset.pipeline.1.frame_interval': 3}
    with pytest.raises(UserError, match='of another test_pipeline'):
        extract_features(read_config(file, options=options), checkpoint, extracted)
    assert arrays(extracted) == before and FeatureRecord.load(extracted).layer == HEAD_INPUT


def test_unreadable_clip_is_reported_and_skipped(tmp_path):
    file = write_config(tmp_path, write_data(tmp_path))
    config = read_config(file)
    with DefaultScope.overwrite_default_scope('mmaction'):
        torch.save({'state_dict': MODELS.build(config.model).state_dict()}, tmp_path / 'weights.pth')
    break_clip(tmp_path, 'v_Diving_g08_c01.avi')
    record, new, broken = extract_features(config, tmp_path / 'weights.pth', tmp_path / 'features')
    assert new == 11 and list(broken) == ['Diving/v_Diving_g08_c01.avi']
    assert len(arrays(tmp_path / 'features')) == 11
    assert record.initial_weights == 'weights.pth'  # of unknown origin


def test_weights_for_another_input_are_refused(experiment, tmp_path):
    _, file, checkpoint = experiment
    larger = read_config(file, options={'train_dataloader.dataset.pipeline.3.scale': [48, 48]})
    with pytest.raises(UserError, match=r'2 frames of 32 × 32 pixels, and .*tiny\.py has 2 .* 48 × 48 .*Leave --cfg'):
        extract_features(larger, checkpoint, tmp_path)
    assert not arrays(tmp_path)


def test_next_commands_are_printed(experiment, extracted, monkeypatch, capsys):
    """They keep the options; those for another network keep only the options about data."""
    folder, file, checkpoint = experiment
    monkeypatch.chdir(folder)
    options = ('split.seed=3', 'test_dataloader.num_workers=0', 'load_from=None')
    data = ('--data-root', str(folder / 'lists'))
    assert (
        call_tool(TOOL, str(file), str(checkpoint), '--out-dir', str(extracted), *data, '--cfg-options', *options) == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if 'python tools/' in line]
    svm, recurrent = (shlex.split(line.split(': ', 1)[1]) for line in lines)
    assert svm == [
        'python',
        'tools/extract_features.py',
        str(file),
        str(extracted),
        '--svm',
        *data,
        '--cfg-options',
        *options,
    ]
    read = (f'features.folder={extracted}', 'features.network=tiny', 'features.layer=input of cls_head')
    assert recurrent[1] == 'tools/train.py' and recurrent[3:] == [*data, '--cfg-options', *options[:2], *read]


def test_unknown_layer_suggests_similar_names(config):
    batch = dummy_batch(config.test_dataloader.dataset.pipeline)
    for layer, message in (
        ('backbone.block', r'has no such layer\. Similar names are backbone'),
        ('cls_head.loss_cls', 'runs 0 times'),
        ('data_preprocessor', 'is a dict'),
    ):
        with DefaultScope.overwrite_default_scope('mmaction'), pytest.raises(UserError, match=f'{layer}: .*{message}'):
            LayerFeatures(MODELS.build(config.model), layer)(batch)


def test_shapes_of_layers():
    x = torch.randn(6, 4, 5, 3, 2)  # of three clips
    assert pooled(x, 6).shape == (6, 5, 4) and pooled(x, 3).shape == (3, 10, 4)
    torch.testing.assert_close(pooled(x, 3)[1, 7], x[3, :, 2].mean((1, 2)))
    torch.testing.assert_close(pooled(x[:, :, 0], 3)[2, 1], x[5, :, 0].mean((1, 2)))
    torch.testing.assert_close(pooled(x[..., 0, 0].transpose(1, 2), 6)[4, 0], x[4, :, :, 0, 0].mean(1))
    assert pooled(x[..., 0, 0, 0], 2).shape == (2, 3, 4)
    fast = torch.randn(6, 2, 7, 1, 1)
    torch.testing.assert_close(pooled((x, fast), 6)[:, 0, 4:], fast.mean((2, 3, 4)))
    with pytest.raises(UserError, match=r'output for 4 clips is of shape \(6, 4, 5, 3, 2\)'):
        pooled(x, 4)


@pytest.mark.parametrize('name', ['baselines/audio_r18_demo', 'tvn1_ucf50'])
def test_batch_has_features_of_each_clip(name):
    """`test_trains_a_step_predicts_and_reloads` extracts features with every config."""
    file = REPOSITORY / f'configs/{name}.py'
    config = read_config(file, data_root='nowhere', options=tiny(file))
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model)
    batch = dummy_batch(config.test_dataloader.dataset.pipeline)
    features = LayerFeatures(model)(batch)
    assert features.ndim == 3 and len(features) == 1 and features.isfinite().all()
    twice = LayerFeatures(model)({'inputs': 2 * batch['inputs'], 'data_samples': 2 * batch['data_samples']})
    assert twice.shape == (2, *features.shape[1:])


@pytest.mark.slow
def test_recurrent_network_is_trained_and_tested(experiment, extracted, tmp_path, monkeypatch):
    config = on_features(experiment, extracted, tmp_path)
    for reader in ('decord.VideoReader', 'tvn_mmaction.datasets.transforms.exact_video.open_reader'):
        monkeypatch.setattr(reader, None)  # no video is decoded
    assert config.model.backbone.in_channels == 8
    result = train_test.train(config)
    assert result.protocol.split == 'ucf101like' and result.protocol.initial_weights == 'scratch'
    assert (result.protocol.train_clips, result.protocol.test_clips) == (6, 6)
    network = sum(parameter.numel() for parameter in MODELS.build(config.model).parameters())
    record = FeatureRecord.load(extracted)
    assert result.costs['parameters'] == network + record.parameters
    for pipeline in (result.protocol.train_pipeline, result.protocol.test_pipeline):
        assert pipeline[:-2] == record.test_pipeline and pipeline[-2]['length'] == 3
    assert '| 2 × 32 × 32 |' in results_table([result])  # input of the upstream network
    again = train_test.test(read_config(tmp_path / 'gru.py', str(tmp_path / 'again')), tmp_path / 'work/epoch_2.pth')
    assert again.metrics == result.metrics


def test_result_on_leaking_features_has_no_split(experiment, extracted, tmp_path):
    shutil.copytree(extracted, tmp_path / 'features')
    record = FeatureRecord.load(extracted)
    record.trained['training'].update(train_list_sha256='5' * 64, initial_weights='k400.pth')
    record.save(tmp_path / 'features')
    config = on_features(experiment, tmp_path / 'features', tmp_path)
    train, test = (build_dataset(config, f'{side}_dataloader') for side in ('train', 'test'))
    meta = {'training': training_record(config, train)}
    found = protocol(config, meta, train, test, classes=3)
    assert (found.split, found.test_clips_with_copy_in_train, found.initial_weights) == (None, None, 'k400.pth')
    record.trained['training'].update(train_list_sha256=None)  # unknown: it may have seen test clips
    record.save(tmp_path / 'features')
    assert protocol(config, meta, train, test, classes=3).split is None
    record.trained['training'].update(train_list_sha256=found.train_list_sha256)
    record.save(tmp_path / 'features')
    assert protocol(config, meta, train, test, classes=3).split == 'ucf101like'


def on_features(experiment, features: Path, folder: Path):
    """Return the config of a network on features."""
    text = ON_FEATURES.format(repository=REPOSITORY, folder=features, data_root=experiment[0] / 'lists')
    (folder / 'gru.py').write_text(text)
    return read_config(folder / 'gru.py', str(folder / 'work'))


def test_leaking_features_are_reported_before_the_training(experiment, extracted, tmp_path, capsys):
    check_training_artifacts(RunPlan(on_features(experiment, extracted, tmp_path)))
    assert 'no split' not in capsys.readouterr().err
    shutil.copytree(extracted, tmp_path / 'features')
    record = FeatureRecord.load(extracted)
    for digest in ('5' * 64, None):
        record.trained['training'].update(train_list_sha256=digest)
        record.save(tmp_path / 'features')
        check_training_artifacts(RunPlan(on_features(experiment, tmp_path / 'features', tmp_path)))
        output = capsys.readouterr().err
        assert re.search(r'the result will state no split: .*gru\.py reads features of tiny, a network', output)


def test_features_of_other_clips_are_refused_before_the_training(experiment, extracted, tmp_path):
    shutil.copytree(extracted, tmp_path / 'features')
    config = on_features(experiment, tmp_path / 'features', tmp_path)
    test = build_without_videos(config, 'test_dataloader').get_data_info(2)
    file_of(tmp_path / 'features', test['sha256']).rename(file_of(tmp_path / 'features', 'f' * 64))  # as many as before
    message = r'features lacks 1 of the 6 clips of {}_dataloader, the first one is .*{}\. .*extract_features\.py on'
    name = Path(test['filename']).name
    with pytest.raises(UserError, match=message.format('val', name)):
        train_test.train(config)
    with pytest.raises(UserError, match=message.format('test', name)):
        train_test.test(config, experiment[2])
    assert not list(tmp_path.glob('work/*.pth'))


def test_config_digest_depends_on_features_and_not_on_their_folder(experiment, extracted, tmp_path):
    """It also depends on how the clips were sampled, so that a training is not resumed on other features."""
    text = ON_FEATURES.format(repository=REPOSITORY, folder=extracted, data_root=experiment[0] / 'lists')
    (tmp_path / 'gru.py').write_text(text)
    shutil.copytree(extracted, moved := tmp_path / 'moved')
    here, there = (
        read_config(tmp_path / 'gru.py', options={'features.folder': str(place)}) for place in (extracted, moved)
    )
    step, record = there.test_dataloader.dataset.pipeline[0], FeatureRecord.load(extracted)
    assert (step.folder, step.length, step.checkpoint_sha256) == (str(moved), 3, record.checkpoint_sha256)
    assert config_digest(here) == config_digest(there)
    (tmp_path / 'gru.py').write_text(text.replace(f"'{extracted}'", f"'{moved}'"))
    assert config_digest(read_config(tmp_path / 'gru.py')) == config_digest(there)
    record.test_pipeline[1]['num_clips'] = 4
    record.save(moved)
    sampled = read_config(tmp_path / 'gru.py')
    assert sampled.test_dataloader.dataset.pipeline[0].test_pipeline_sha256 != step.test_pipeline_sha256
    assert config_digest(sampled) != config_digest(there)


def test_flow_of_features_is_a_cost(experiment, config):
    """It is measured on the frames of a store, which need not contain flow."""
    folder, test = experiment[0], build_without_videos(config, 'test_dataloader')
    flow = [dict(type='FrameStoreInit', flow=True), dict(type='SampleFrames', clip_len=2, num_clips=3)]
    assert flow_costs(test, flow) == flow_costs(test, config.test_dataloader.dataset.pipeline) == {}
    build_frames(folder / 'lists', 32)
    assert 0 < flow_costs(test, flow)['flow_ms_per_clip'] < 1000
    assert flow_costs(test, config.test_dataloader.dataset.pipeline) == {}
