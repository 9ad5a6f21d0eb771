"""Metadata and configs in files of networks are read as plain data; no code in them runs."""

import inspect
import resource
from pathlib import Path

import pytest
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from torch import nn

from tvn_mmaction.deploy.allowlist import MODELS as ALLOWED
from tvn_mmaction.deploy.allowlist import STEPS, bounded_building, check_model, check_pipeline
from tvn_mmaction.deploy.metadata import ModelMetadata
from tvn_mmaction.utils.checkpoints import read_static_config
from tvn_mmaction.utils.errors import UserError

FILE = Path('best.pth')


def test_config_as_mmengine_writes_it_is_read():
    config = Config(
        dict(model=dict(type='A', size=(2, -1), parts=[dict(x=1.5), None]), names={'a b': True}, words="it's", empty=[])
    )
    assert read_static_config(config.pretty_text, FILE).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    'text',
    [
        '__import__("os").system("true")',
        'a = __import__("os")',
        'a = dict(b=open("x"))',
        'a = dict(**b)',
        'a = [x for x in "ab"]',
        'import os',
        'a =',
        'filename = 1',
    ],
)
def test_config_with_code_is_refused(text):
    with pytest.raises(UserError, match='not plain data'):
        read_static_config(text, FILE)


@pytest.mark.parametrize('name', ['os.system', 'antigravity', 'subprocess.Popen', ['os.system'], {'type': 'x'}, 5])
def test_unknown_types_are_refused(name):
    part = dict(type='Recognizer2D', backbone=dict(type='TinyVideoNet', parts=[dict(type=name)]))
    with pytest.raises(UserError, match='in its model, which files of models may not have'):
        check_model(part, FILE)
    part['backbone']['parts'] = [dict(type='BN3d', _scope_=name)]
    with pytest.raises(UserError, match='in its model, which files of models may not have'):
        check_model(part, FILE)
    part['backbone']['parts'] = [dict(type='BN3d', _scope_='mmaction')]
    check_model(part, FILE)
    with pytest.raises(UserError, match='in its test pipeline, which files of models may not have'):
        check_pipeline([dict(type=name)], FILE)


@pytest.mark.parametrize('name', sorted(set(TRANSFORMS.module_dict) - set(STEPS)))
def test_other_registered_steps_are_refused_at_any_depth(name):
    for steps in (
        [dict(type=name)],
        [dict(type='Resize', scale=dict(type=name))],
        [dict(type='KeyMapper', transforms=[dict(type=name)])],
        [dict(type='FormatShape', input_format='NCHW', transforms=[dict(type=name)])],
    ):
        with pytest.raises(UserError, match='which files of models may not have'):
            check_pipeline(steps, FILE)


@pytest.mark.parametrize('name', sorted(set(MODELS.module_dict) - ALLOWED))
def test_other_registered_models_are_refused_at_any_depth(name):
    for model in (dict(type=name), dict(type='Recognizer2D', backbone=[[dict(a=dict(type=name))]])):
        with pytest.raises(UserError, match='which files of models may not have'):
            check_model(model, FILE)


def test_allowed_types_exist():
    registered = set(MODELS.module_dict) | set(MODELS.parent.module_dict) | {'AvgConsensus', 'resnet3d'}
    assert registered >= ALLOWED
    for kind, arguments in STEPS.items():
        accepted = inspect.signature(TRANSFORMS.get(kind).__init__).parameters
        assert 'kwargs' in accepted or set(accepted) >= arguments, kind


@pytest.mark.parametrize(
    ('steps', 'reason'),
    [
        ([dict(type='Resize', scale=(10**9, 10**9))], 'which is out of bounds'),
        ([dict(type='Resize', scale=float('nan'))], 'which is out of bounds'),
        ([dict(type='SampleFrames', clip_len=10**30)], 'which is out of bounds'),
        ([dict(type='FormatShape', input_format='N' * 10**6)], 'a text of 1000000 characters'),
        ([dict(type='PackActionInputs', meta_keys=list(range(200_000)))], '200000 values'),
        ([dict(type='DecordInit', io_backend='memcached')], "step 'DecordInit'"),
        ([dict(type='PackActionInputs', io_backend='memcached')], "'io_backend' of the step"),
        ('text', 'not a list of steps'),
        ([['type']], 'not a list of steps'),
    ],
)
def test_values_out_of_bounds_are_refused(steps, reason):
    with pytest.raises(UserError, match=reason):
        check_pipeline(steps, FILE)


@pytest.mark.parametrize(
    'build',
    [
        lambda: nn.Conv2d(60_000, 60_000, 3),
        lambda: nn.Sequential(*(nn.Conv2d(2000, 2000, 3) for _ in range(100))),
        lambda: nn.Sequential(*(nn.ReLU() for _ in range(100_000))),
    ],
)
def test_models_larger_than_their_file_are_not_built(tmp_path, build):
    file = tmp_path / 'small.pth'
    file.write_bytes(b'0' * 1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r'small\.pth has the config of a model'), bounded_building(file, 10):
        build()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    nn.Conv2d(2000, 2000, 3)  # the bounds end with the block


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (None, 'was not written by tools/export.py'),
        ('', 'was not written by tools/export.py'),
        ('{"schema_version": 0}', 'schema 0'),
        ('{"schema_version": 1}', 'cannot be read'),
        ('[]', 'cannot be read'),
        ('no JSON', 'cannot be read'),
    ],
)
def test_invalid_metadata_is_refused(text, reason):
    with pytest.raises(UserError, match=reason):
        ModelMetadata.from_json(text, FILE)
