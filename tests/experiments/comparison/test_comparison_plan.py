"""Terms that a comparison gives to all networks, and those that each network keeps."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.experiments.comparison.synthetic import networks
from tests.small_experiment import REPOSITORY, write_config
from tvn_mmaction.benchmark.benchmark_record import Benchmark, ModelCosts, Timing
from tvn_mmaction.config.loading import configure_training, read_config
from tvn_mmaction.evaluation.provenance import config_digest
from tvn_mmaction.experiments.comparison.comparison_plan import (
    TrainBudget,
    apply_train_budget,
    configs_on_equal_terms,
    epoch_seconds,
    jobs_of,
)
from tvn_mmaction.utils.errors import UserError

COMPARE = REPOSITORY / 'configs/baselines'
NAMES = ('tsn_r18', 'x3d_s', 'c3d')
MORE = """
randomness = dict(seed=5)
train_dataloader['dataset']['pipeline'] = [
    dict(type='DecordInit'), sampling, *common_steps[:2], dict(type='Flip'), *common_steps[2:]]
"""


@pytest.fixture(scope='module')
def folder(folder):
    write_config(folder, folder / 'lists', MORE)
    return folder


def equal_terms(folder, *names, **arguments):
    """Return the small config, and baselines on its terms."""
    files = [folder / 'tiny.py', *(COMPARE / f'{name}_ucf50.py' for name in names)]
    return configs_on_equal_terms(files, folder / 'other', **arguments)


@pytest.fixture(scope='module')
def configs(folder):
    return configs_on_equal_terms(
        [folder / 'tiny.py', *(COMPARE / f'{name}_ucf50.py' for name in NAMES)], folder / 'same'
    )


def steps(config) -> dict[str, dict]:
    return {step.type: step for step in config.train_dataloader.dataset.pipeline}


def test_all_have_data_schedule_and_augmentation_of_the_first(configs, folder):
    first = configs[0]
    for config in configs[1:]:
        for name in ('split', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'randomness', 'test_evaluator'):
            assert config[name] == first[name], name
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            for name in ('batch_size', 'num_workers', 'sampler'):
                assert config[loader][name] == first[loader][name]
            for name in ('type', 'data_root', 'protocol', 'fold', 'subset'):
                assert config[loader].dataset.get(name) == first[loader].dataset.get(name)
        assert 'Flip' in steps(config) and 'Flip' not in [step.type for step in config.test_dataloader.dataset.pipeline]
        assert config.model.cls_head.num_classes == 3
    assert {job.clips for job in jobs_of(configs)} == {jobs_of(configs[:1])[0].clips}
    assert len({job.folder for job in jobs_of(configs)}) == len(configs)


def test_all_have_the_input_of_the_first_and_their_own_sampling(configs):
    _, tsn, x3d, c3d = configs
    assert steps(tsn)['SampleFrames'].num_clips == 2 and steps(tsn)['SampleFrames'].clip_len == 1
    assert steps(x3d)['SampleFrames'].clip_len == 2
    assert steps(x3d)['SampleFrames'].frame_interval == 13 * 6 // 2  # frames times stride stay
    assert steps(tsn)['Resize'].scale == steps(x3d)['Resize'].scale == (32, 32)
    assert steps(c3d)['SampleFrames'].clip_len == 16  # it accepts no fewer
    assert steps(c3d)['Resize'].scale == (16, 16)  # about the same number of pixels in total
    assert steps(x3d)['FormatShape'].input_format == 'NCTHW' and steps(tsn)['FormatShape'].input_format == 'NCHW'


def test_own_input_is_kept_on_request(folder):
    _, x3d = equal_terms(folder, 'x3d_s', own_input=True)
    assert steps(x3d)['SampleFrames'].clip_len == 13 and steps(x3d)['Resize'].scale == (160, 160)
    assert 'Flip' in steps(x3d)


def test_published_weights_add_a_network(folder):
    configs = equal_terms(folder, 'tsn_r18', 'x3d_s', pretrained=True)
    found = {job.name: config.load_from for job, config in zip(jobs_of(configs), configs, strict=True)}
    assert list(found) == ['tiny', 'tsn_r18_ucf50', 'x3d_s_ucf50', 'x3d_s_ucf50_pretrained']
    assert list(found.values()) == [None, None, None, configs[2].pretrained_weights]
    assert jobs_of(configs)[2].config_digests.isdisjoint(jobs_of(configs)[3].config_digests)


def test_protocol_and_options_change_all(folder):
    options = {'clip.size': 64, 'optim_wrapper.optimizer.lr': 0.5}
    for config in equal_terms(folder, 'tsn_r18', options=options, protocol='twothirds'):
        assert config.split.protocol == config.train_dataloader.dataset.protocol == 'twothirds'
        assert config.optim_wrapper.optimizer.lr == 0.5 and steps(config)['Resize'].scale == (64, 64)


def test_saved_configs_are_read_unchanged(configs):
    for config, job in zip(configs, jobs_of(configs), strict=True):
        again = read_config(job.config, str(job.folder), job.data_root, job.options)
        assert jobs_of([again])[0].config_digests == job.config_digests
        assert again.model == config.model


@pytest.mark.parametrize(
    ('text', 'budget'),
    [
        ('epochs=3', TrainBudget(epochs=3)),
        ('minutes=2', TrainBudget(minutes=2)),
        ('minutes=0.5', TrainBudget(None, 0.5)),
    ],
)
def test_train_budget_is_parsed(text, budget):
    assert TrainBudget.parse(text) == budget


@pytest.mark.parametrize(
    'text', ['epochs=0', 'epochs=1.5', 'epochs', 'minutes=0', 'minutes=-1', 'hours=3', '', 'minutes=x']
)
def test_invalid_train_budget_is_refused(text):
    with pytest.raises(UserError, match='Give epochs=N or minutes=M, above 0'):
        TrainBudget.parse(text)


def costs(name: str, clips_per_second: float) -> ModelCosts:
    step = Timing(median_ms=8000 / clips_per_second, p95_ms=0)
    # 8 test clips of 125 ms each; decoding was not measured
    forward = {'8': Timing(median_ms=1000, p95_ms=0)}
    return ModelCosts(name, {}, '', [1], 1, 1, 1, None, forward, step, 8, 0, 0, None)


def test_minutes_are_converted_into_epochs(configs, folder):
    names = [Path(config.filename).stem for config in configs]
    speeds = (1.0, 2.0, 0.01, 1.0)  # clips per second; 6 train and 6 test clips
    models = [costs(name, speed) for name, speed in zip(names, speeds, strict=True)]
    benchmark = Benchmark(names[0], 'cpu', 2, 'float32', 'contiguous', 1, {}, models)
    allowed = apply_train_budget(configs, TrainBudget(minutes=1), lambda: benchmark, folder / 'same')
    assert [config.train_cfg.max_epochs for config in allowed] == [8, 16, 1, 8]
    assert [config.param_scheduler[-1].end for config in allowed] == [8, 16, 1, 8]
    assert {config.train_cfg.max_epochs for config in configs} == {2}
    assert allowed[1].options['train_cfg.max_epochs'] == 16
    same = apply_train_budget(configs, TrainBudget(epochs=4), lambda: benchmark, folder / 'same')
    assert {config.train_cfg.max_epochs for config in same} == {4}
    assert [job.epochs for job in jobs_of(same)] == [4] * 4


def test_repeated_config_and_other_inputs_are_refused(folder):
    with pytest.raises(UserError, match='tiny: named more than once'):
        configs_on_equal_terms([folder / 'tiny.py'] * 2, folder / 'twice')
    audio = folder / 'audio.py'
    audio.write_text(
        "_base_ = 'tiny.py'\ntrain_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadAudioFeature')]))\n"
    )
    with pytest.raises(UserError, match='is not trained on video clips alone'):
        configs_on_equal_terms([folder / 'tiny.py', audio], folder / 'audio')


def test_decoding_overlaps_with_a_gpu_but_not_with_a_cpu():
    decoding = replace(costs('any', clips_per_second=10), data=Timing(median_ms=400, p95_ms=0))
    assert epoch_seconds(decoding, 100, 8, workers=2, device='cpu') == pytest.approx(10 + 1 + 108 * 0.4 / 2)
    assert epoch_seconds(decoding, 100, 8, workers=2, device='cuda') == pytest.approx(108 * 0.4 / 2)


def test_network_with_a_result_keeps_its_epochs(configs, folder):
    """New timings would change them, and its result would be refused."""
    kept = equal_terms(folder, 'tsn_r18')
    entry = networks(['tiny', 'tsn_r18_ucf50'], ['a', 'b']).entries[0]
    result = replace(entry.result, protocol=replace(entry.result.protocol, epochs=5))
    result.save(Path(kept[1].work_dir) / 'result.json')
    models = [costs(Path(config.filename).stem, 1.0) for config in kept]
    benchmark = Benchmark('tiny', 'cpu', 2, 'float32', 'contiguous', 1, {}, models)
    allowed = apply_train_budget(kept, TrainBudget(minutes=1), lambda: benchmark, folder / 'other')
    assert [config.train_cfg.max_epochs for config in allowed] == [8, 5]


def test_missing_variables_of_the_first_config_are_removed_from_all(folder):
    (folder / 'constant.py').write_text("_base_ = 'tiny.py'\nparam_scheduler = None\n")
    _, tsn = configs_on_equal_terms([folder / 'constant.py', COMPARE / 'tsn_r18_ucf50.py'], folder / 'constant')
    assert not tsn.param_scheduler


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('omnisource_slowonly_r50', 'is not trained on video clips alone'),
        ('timesformer', 'With --own-input'),
        ('../motion/tvn1_rgb_difference', 'it reads motion, .* Train it with tools/train.py'),
    ],
)
def test_network_that_cannot_take_the_terms_is_refused(folder, name, message):
    with pytest.raises(UserError, match=f'{name}.* cannot be compared.*{message}'):
        equal_terms(folder, name, options={'clip.size': 40})


def test_resumed_pretrained_training_is_recognised(configs, folder):
    config = read_config(folder / 'tiny.py', options={'load_from': 'published.pth'})
    (job,) = jobs_of([config])
    configure_training(config)
    begun = config_digest(config)
    config.resume, config.load_from = True, None  # as mmengine resumes it
    assert job.config_digests == {begun, config_digest(config)} and len(job.config_digests) == 2
