"""Metadata and configs in files of networks are read as plain data; no code in them runs."""

from pathlib import Path

import pytest
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config

from tvn_mmaction.deploy.metadata import ModelMetadata, check_registered
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


@pytest.mark.parametrize('name', ['os.system', 'antigravity', 'subprocess.Popen', ['os.system']])
def test_unregistered_types_are_refused(name):
    part = dict(type='Recognizer2D', backbone=dict(type='TinyVideoNet', parts=[dict(type=name)]))
    with pytest.raises(UserError, match='not registered in model'):
        check_registered(part, MODELS, FILE)
    part['backbone']['parts'] = [dict(type='BN3d', _scope_=name)]
    with pytest.raises(UserError, match='not registered in model'):
        check_registered(part, MODELS, FILE)
    part['backbone']['parts'] = [dict(type='BN3d', _scope_='mmaction')]  # of MMEngine's registry
    check_registered(part, MODELS, FILE)
    with pytest.raises(UserError, match='not registered in transform'):
        check_registered([dict(type=name)], TRANSFORMS, FILE)


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
