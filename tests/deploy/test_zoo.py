"""MMAction2's own networks run in engines too."""

import pytest
import torch

from tests.experiments import REPOSITORY
from tvn_mmaction.deploy.export import LabelledClips, export
from tvn_mmaction.deploy.rewrite import rewritten
from tvn_mmaction.engine import read_config
from tvn_mmaction.errors import UserError
from tvn_mmaction.speed.engines import made_up_network

SMALL = {
    'compare/c3d': dict(size=32),
    'compare/i3d_r50': dict(frames=8, size=64),
    'compare/r2plus1d_r18': dict(frames=8, size=64),
    'compare/slowfast_r50': dict(frames=32, size=64),
    'compare/slowonly_r50': dict(frames=8, size=64),
    'compare/swin_tiny': dict(frames=8, size=64),
    'compare/tsm_mobilenetv2': dict(frames=4, size=64),
    'dynamic/tsm_online_r18_spread': dict(frames=4, size=64),
    'compare/tsm_r50': dict(frames=4, size=64),
    'compare/tsn_r18': dict(frames=4, size=64),
    'compare/x3d_s': dict(frames=4, size=64),
}


def network_of(name, clip):
    options = {f'clip.{part}': value for part, value in clip.items()}
    return made_up_network(read_config(REPOSITORY / f'configs/{name}_ucf50.py', options=options))


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
@pytest.mark.parametrize('name', SMALL)
def test_scores_are_those_of_pytorch(tmp_path, name, suffix):
    network, description, clip = network_of(name, SMALL[name])
    told = export(network, description, tmp_path / f'network{suffix}', 'fp32', LabelledClips([clip[0]], None))
    assert told.provenance['export']['largest_score_difference'] <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALL)
@torch.no_grad()
def test_rewritten_networks_compute_the_same_for_every_size_of_batch(name):
    network, _, clip = network_of(name, SMALL[name])
    clips = torch.randint(0, 256, (3, *clip.shape[1:]), dtype=torch.uint8)
    lean = rewritten(network)
    for batch in (3, 1):
        torch.testing.assert_close(lean(clips[:batch]), network(clips[:batch]), rtol=0, atol=1e-4)


def test_networks_of_sounds_are_refused():
    with pytest.raises(UserError, match='RecognizerAudio takes more than RGB frames'):
        made_up_network(read_config(REPOSITORY / 'configs/compare/audio_r18_demo.py'))
