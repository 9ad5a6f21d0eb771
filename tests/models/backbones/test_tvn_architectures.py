"""Architecture table: values allowed in a config, and the repetitions of a block."""

import pytest
from mmengine.config import ConfigDict

from tvn_mmaction.models.backbones.tvn_architectures import ARCHITECTURES, Architecture, Block

BLOCK = {'spatial': ['conv', 3, 2], 'temporal': ['maxpool', 2, 2], 'filters': 8, 'expand': 2}
ARCH = {'frames': 4, 'frame_stride': 1, 'image_size': 32, 'blocks': [BLOCK, {**BLOCK, 'repeats': 2}]}


def as_dict(architecture: Architecture) -> dict:
    """Return an architecture as a dict, as in a config."""
    blocks = [
        {**vars(block), 'spatial': [*block.spatial], 'temporal': [*block.temporal]} for block in architecture.blocks
    ]
    return {**vars(architecture), 'blocks': blocks}


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_name_and_dict_give_the_same_architecture(name):
    architecture = Architecture.of(name)
    assert architecture is ARCHITECTURES[name]
    assert Architecture.of(as_dict(architecture)) == architecture
    assert Architecture.of(ConfigDict(as_dict(architecture))) == architecture


@pytest.mark.parametrize(
    ('field', 'value', 'names'),
    [
        ('spatial', ['dilated', 3, 2], "('dilated', 3, 2)"),
        ('spatial', ['conv', 3, 0], 'is 0'),
        ('temporal', ['depthwise', 3, 1], "('depthwise', 3, 1)"),
        ('temporal', ['conv', -1, 1], 'is -1'),
        ('spatial', ['conv', 3], "('conv', 3)"),
        ('spatial', ['conv', 2.5, 1], 'is 2.5'),
        ('temporal', ['maxpool', 1, 2], "('maxpool', 1, 2)"),
        ('filters', '64', "is '64'"),
        ('spatial_activation', 'gelu', "'gelu'"),
        ('expand', 0, 'is 0'),
        ('repeats', 0, 'is 0'),
        ('squeeze_ratio', -0.1, '-0.1'),
        ('squeeze_ratio', 1.5, '1.5'),
    ],
)
def test_value_out_of_range_is_named(field, value, names):
    block = {**BLOCK, field: value}
    for build in (lambda: Block(**block), lambda: Architecture.of({**ARCH, 'blocks': [block]})):
        with pytest.raises(ValueError) as error:
            build()
        assert field in str(error.value)
        assert names in str(error.value)


@pytest.mark.parametrize(
    ('arch', 'names'),
    [
        ({**ARCH, 'depth': 18}, "'depth'"),
        ({**ARCH, 'blocks': [{**BLOCK, 'dilation': 2}]}, "'dilation'"),
        ({name: value for name, value in ARCH.items() if name != 'frames'}, "'frames'"),
        ({**ARCH, 'blocks': [{'spatial': ['conv', 3, 1], 'temporal': ['conv', 1, 1], 'expand': 2}]}, "'filters'"),
        ({}, "'blocks'"),
        (None, 'None'),
    ],
)
def test_unknown_fields_list_known_fields(arch, names):
    with pytest.raises(ValueError, match='arch is not an architecture') as error:
        Architecture.of(arch)
    reason, fields = str(error.value).split('the fields are')
    assert names in reason
    assert "'squeeze_ratio'" in fields
    assert "'frame_stride'" in fields


@pytest.mark.parametrize('block', [block for arch in ARCHITECTURES.values() for block in arch.blocks])
@pytest.mark.parametrize('frames', [1, 2, 3, 8])
def test_first_repetition_has_strides_and_every_second_a_temporal_layer(block, frames):
    repetitions = block.repetitions(frames)
    assert len(repetitions) == block.repeats
    works_along_time = block.temporal.kernel > 1 and (frames > 1 or block.temporal.kind != 'conv')

    first = repetitions[0]
    assert first.spatial == block.spatial
    assert first.temporal == (block.temporal if works_along_time else None)
    assert first.out_frames == (-(-frames // block.temporal.stride) if works_along_time else frames)
    assert first.skip == (block.skip and first.out_frames == frames)

    for index, repetition in enumerate(repetitions[1:], start=1):
        assert repetition.spatial == (block.spatial.kind, block.spatial.kernel, 1)
        assert (repetition.skip, repetition.out_frames) == (block.skip, first.out_frames)
        if index % 2:
            assert repetition.temporal is None
        elif repetition.temporal is not None:
            assert repetition.temporal == (block.temporal.kind, block.temporal.kernel, 1)
