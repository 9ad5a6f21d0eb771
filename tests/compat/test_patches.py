"""Each patch of `compat.patches`: upstream still has the fault (else the patch can go), and the patch fixes it."""

import inspect
import subprocess
import sys
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.config import config as mmengine_config

from tests.videos import write_video
from tvn_mmaction.compat import patches
from tvn_mmaction.utils.errors import UserError

CAN_GO = 'upstream is fixed: remove this patch and its tests'

PATCHED = patches.apply()

from mmaction.datasets.transforms import DecordInit, Flip, pose_transforms  # noqa: E402
from mmaction.models import backbones  # noqa: E402  (needs the patches)
from mmaction.models.backbones import resnet_tin  # noqa: E402
from mmaction.registry import MODELS  # noqa: E402
from mmaction.structures import ActionDataSample  # noqa: E402

# The table.


def test_apply_runs_once():
    assert patches.apply() is PATCHED
    assert set(PATCHED) <= set(patches.PATCHES)
    assert all(patch.apply.__doc__ and patch.symptom and patch.source for patch in patches.PATCHES)


# needless_warnings

WARNING_IMPORTS = (
    'import mmcv.cnn.bricks.transformer; from mmengine.hub import get_config; '
    "get_config('mmaction::_base_/default_runtime.py')"
)


def run_code(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60)


def test_upstream_warns_at_every_start():
    assert 'MultiScaleDeformableAttention' in run_code(WARNING_IMPORTS).stderr, CAN_GO


def test_import_of_the_package_is_silent_lazy_and_complete():
    slow = '{"scipy.stats", "decord", "matplotlib.pyplot", "plotly"}'
    code = f'import sys, tvn_mmaction; print({slow} & set(sys.modules), "mmaction.models" in sys.modules); '
    process = run_code(code + WARNING_IMPORTS)
    assert process.stdout == 'set() True\n'
    assert 'MultiScaleDeformableAttention' not in process.stderr and 'pkg_resources' not in process.stderr


# cached_external_bases


def test_external_bases_are_looked_up_once(monkeypatch, tmp_path):
    lookups = []
    find = mmengine_config._get_external_cfg_base_path
    monkeypatch.setattr(
        mmengine_config, '_get_external_cfg_base_path', lambda *names: lookups.append(names) or find(*names)
    )
    base = 'mmaction::_base_/schedules/adam_20e.py'  # no other test reads it
    (tmp_path / 'own.py').write_text(f"_base_ = '{base}'\n")
    (tmp_path / 'other.py').write_text("_base_ = 'own.py'\n")
    own, other = (Config.fromfile(tmp_path / f'{name}.py') for name in ('own', 'other'))
    assert own.to_dict() == other.to_dict() and own.train_cfg and len(lookups) == 1


# missing_drn


def test_drn_is_missing_upstream_and_its_placeholder_raises():
    assert not (Path(mmaction.__file__).parent / 'models/localizers/drn').is_dir(), CAN_GO

    with pytest.raises(UserError, match='DRN is missing from the mmaction2'):
        MODELS.build({'type': 'DRN'})


def test_drn_of_a_source_checkout_is_used(tmp_path, monkeypatch):
    """Its folder has no __init__.py, which is why the wheel lacks it."""
    (tmp_path / 'models/localizers/drn').mkdir(parents=True)
    monkeypatch.setattr(mmaction, '__file__', str(tmp_path / '__init__.py'))
    monkeypatch.delitem(sys.modules, 'mmaction.models.localizers')
    assert not patches.missing_drn()


# lazy_scipy


def test_pose_transforms_import_scipy_upstream_and_still_use_it():
    source = inspect.getsource(pose_transforms)
    assert 'from scipy.stats import mode\n' in source, CAN_GO

    import scipy.stats

    values = np.array([3, 1, 2, 3, 3, 2])
    assert pose_transforms.get_mode(values) == scipy.stats.mode(values, keepdims=True)


# training_from_scratch

FROM_SCRATCH = {
    'ResNetTSM': {'depth': 18, 'shift_place': 'block'},
    'ResNetTIN': {'depth': 50},
    'MobileNetV2TSM': {},
    'SwinTransformer3D': {'arch': 'tiny'},
}


@pytest.mark.parametrize('name', ['ResNetTSM', 'MobileNetV2TSM', 'SwinTransformer3D'])
def test_backbone_without_file_fails_upstream(name):
    backbone = getattr(backbones, name)
    upstream = inspect.unwrap(backbone.init_weights)
    assert upstream is not backbone.init_weights, CAN_GO
    with pytest.raises(TypeError, match=r'NoneType|expected string'):
        upstream(backbone(**FROM_SCRATCH[name]))


@pytest.mark.parametrize('name', FROM_SCRATCH)
def test_backbone_initialises_from_scratch(name):
    backbone = MODELS.build({'type': name, 'pretrained': None, **FROM_SCRATCH[name]})
    weights = {
        key: module.weight
        for key, module in backbone.named_modules()
        if type(module) in (torch.nn.Conv2d, torch.nn.Linear)
    }
    trained = {key: weight for key, weight in weights.items() if 'offset_net' not in key}
    for weight in trained.values():
        torch.nn.init.zeros_(weight)
    backbone.init_weights()
    assert all(weight.any() for weight in trained.values())


def test_tin_keeps_its_own_initial_biases():
    backbone = backbones.ResNetTIN(depth=50)
    backbone.init_weights()
    biases = [module.fc2.bias for module in backbone.modules() if isinstance(module, resnet_tin.OffsetNet)]
    assert biases and all((bias == 0.5108).all() for bias in biases)


def test_pretrained_file_is_still_loaded(tmp_path):
    donor = backbones.ResNet(depth=18)
    state = {}  # torchvision's names, which is what TSM reads
    for name, value in donor.state_dict().items():
        plain = name.replace('.conv.', '.') if 'downsample' not in name else name.replace('.conv.', '.0.')
        state[plain.replace('downsample.bn', 'downsample.1').replace('conv1.bn', 'bn1').replace('conv2.bn', 'bn2')] = (
            value
        )
    torch.save(state, tmp_path / 'resnet18.pth')
    backbone = backbones.ResNetTSM(depth=18, pretrained=str(tmp_path / 'resnet18.pth'))
    backbone.init_weights()
    assert torch.equal(backbone.layer1[0].conv1.conv.net.weight, donor.layer1[0].conv1.conv.weight)


# tin_without_cuda_operator


def shift_by_definition(data, shift):
    frames, channels = data.shape[1:3]
    output = 0 * data
    for n in range(data.size(0)):
        for c in range(channels):
            for t in range(frames):
                target = t + int(shift[n, c // (channels // shift.size(1))])
                if 0 <= target < frames:
                    output[n, target, c] = data[n, t, c]
    return output


def test_mmcv_lite_still_has_no_operators():
    with pytest.raises(ImportError):
        from mmcv.ops import tin_shift  # noqa: F401
    with pytest.raises(ImportError):  # how mmengine distinguishes mmcv from mmcv-lite
        from mmcv.ops import SyncBatchNorm  # noqa: F401
    assert 'mmcv.ops' not in sys.modules


@pytest.mark.parametrize('groups', [1, 2, 6])
def test_tin_shift_is_its_definition(groups):
    data = torch.randn(3, 5, 6, 4, dtype=torch.double, requires_grad=True)
    shift = torch.randint(-7, 8, (3, groups), dtype=torch.int)
    gradient = torch.randn(3, 5, 6, 4, dtype=torch.double)
    output, expected = patches.tin_shift(data, shift), shift_by_definition(data, shift)
    assert torch.equal(output, expected)
    assert torch.equal(*(torch.autograd.grad(result, data, gradient)[0] for result in (output, expected)))


def test_tin_shift_drops_nan_of_frames_outside_and_refuses_unequal_groups():
    data = torch.full((1, 2, 1, 1), float('nan'))
    assert torch.equal(patches.tin_shift(data, torch.tensor([[2]])), torch.zeros(1, 2, 1, 1))

    with pytest.raises(ValueError, match='6 channels do not split into 4 equal groups'):
        patches.tin_shift(torch.zeros(1, 2, 6, 1), torch.zeros(1, 4))


def test_tin_sampler_equals_upstream(monkeypatch):
    """Upstream's function, with an `mmcv.ops` whose shift is the definition, returns equal values and gradients."""
    source = inspect.getsource(inspect.getmodule(resnet_tin))
    upstream = {}
    exec(source[source.index('def linear_sampler') : source.index('class CombineNet')], {'torch': torch}, upstream)
    operators = type(sys)('mmcv.ops')
    operators.tin_shift = shift_by_definition
    monkeypatch.setitem(sys.modules, 'mmcv.ops', operators)

    data = torch.randn(2, 4, 8, 3, 3, dtype=torch.double, requires_grad=True)
    offset = (4 * torch.rand(2, 4, dtype=torch.double) - 2).requires_grad_()
    results = [sample(data, offset) for sample in (resnet_tin.linear_sampler, upstream['linear_sampler'])]
    torch.testing.assert_close(*results)
    for variable in (data, offset):
        torch.testing.assert_close(
            *(torch.autograd.grad(r.square().sum(), variable, retain_graph=True) for r in results)
        )


# scores_in_bfloat16


def test_loss_of_bfloat16_is_a_type_error_upstream():
    head = MODELS.build(dict(type='I3DHead', num_classes=3, in_channels=4))
    samples = [ActionDataSample().set_gt_label(0)] * 2
    scores = torch.randn(2, 3, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match='BFloat16'):
        type(head).loss_by_feat.__wrapped__(head, scores, samples)
        pytest.fail(CAN_GO)
    assert type(head).loss_by_feat(head, scores, samples)['loss_cls'].dtype == torch.float32


# videos_by_name


def test_error_of_a_broken_video_has_its_name_and_not_its_bytes(tmp_path, capfd):
    pytest.importorskip('decord')
    video, broken = tmp_path / 'whole.avi', tmp_path / 'broken.avi'
    write_video(video, frame_count=9)
    broken.write_bytes(video.read_bytes()[:500])
    upstream = DecordInit._get_video_reader.__wrapped__
    for read, names_it in ((upstream, False), (DecordInit._get_video_reader, True)):
        with pytest.raises(Exception):  # noqa: B017 - decord has several
            read(DecordInit(), str(broken))
        assert (str(broken) in capfd.readouterr().err) == names_it
    frames = [read(DecordInit(), str(video))[:].asnumpy() for read in (upstream, DecordInit._get_video_reader)]
    assert (frames[0] == frames[1]).all() and len(frames[0]) == 9


# mirrored_flow


def test_mirrored_flow_inverts_x_only_and_stays_within_its_bounds():
    """Upstream is right only if x and y are separate images."""
    flip, still = Flip(flip_ratio=1), np.full((2, 3, 2), 128, np.uint8)
    field = still.copy()
    field[:, 0] = (200, 100)  # at the left, to the right and up
    mirrored, at_rest = flip._flip_imgs([field.copy(), still.copy()], 'Flow')
    assert mirrored[:, 2].tolist() == [[56, 100]] * 2 and (mirrored[:, :2] == 128).all() and (at_rest == 128).all()
    upstream = Flip._flip_imgs.__wrapped__(flip, [field.copy(), still.copy()], 'Flow')
    assert upstream[0][0, 2].tolist() == [55, 155], CAN_GO
    x, y = np.ascontiguousarray(field[..., 0]), np.ascontiguousarray(field[..., 1])
    x, y = flip._flip_imgs([x, y], 'Flow')
    assert x.tolist() == [[127, 127, 55]] * 2 and y.tolist() == [[128, 128, 100]] * 2

    (mirrored,) = Flip(flip_ratio=1)._flip_imgs([np.array([[[0, 0], [1, 255], [255, 1]]], np.uint8)], 'Flow')
    assert mirrored.tolist() == [[[1, 1], [255, 255], [255, 0]]]
