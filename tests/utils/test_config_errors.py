"""Remedies of errors while parts of a config are built."""

import pytest
from mmengine.config import Config
from mmengine.registry import Registry

from tvn_mmaction.utils.config_errors import explain_config_errors
from tvn_mmaction.utils.errors import UserError

PARTS = Registry('part')


@PARTS.register_module()
class Part:
    def __init__(self, name: str = '', steps: list | None = None, error: type[Exception] = TypeError):
        raise error('steps must be a list of dicts' if steps else 'the part fails')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        # Not the scope or another value that the error does not name.
        (
            dict(_scope_='part', name='a', steps=['b']),
            r"part cannot be built with steps=\['b'\]: TypeError: steps must be a list of dicts\. "
            r'Correct it in the config, or with --cfg-options part\.steps=VALUE\.$',
        ),
        (dict(name='a'), r"built with name='a': TypeError: the part fails\. Correct it in the config\.$"),
        (dict(error=ImportError), r'ImportError: the part fails\. Install the package, or use another type'),
        (dict(error=NotImplementedError), r'Use another type for part or for what it contains\.$'),
        (dict(step=1), r'part\.step is 1, but Part has no such argument\. Use steps, or leave it out\.$'),
        (dict(typ='Other'), r"part\.typ is 'Other', but Part has no such argument\. Use type, or leave it out\.$"),
    ],
)
def test_remedy_is_about_the_value_that_is_wrong(values, message):
    part = dict(type='Part', **values)
    config = Config(dict(part=part))
    with pytest.raises(UserError, match=message), explain_config_errors(config, 'a.py'):
        PARTS.build(part)


def test_argument_of_a_part_without_a_type_is_named():
    config = Config(dict(randomness=dict(sed=3), options={'randomness.sed': 3}))
    with pytest.raises(UserError, match=r'Correct randomness\.sed\.$'), explain_config_errors(config, 'a.py'):
        (lambda seed=0: seed)(**config.randomness)
