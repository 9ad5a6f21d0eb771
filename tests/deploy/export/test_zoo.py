"""MMAction2's own networks run in all engines."""

import shutil

import pytest
import torch

from tests.small_experiment import REPOSITORY
from tvn_mmaction.benchmark.engine_latency import dummy_network
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.deploy.export import model_export
from tvn_mmaction.deploy.export.graph_rewrite import optimize_for_inference
from tvn_mmaction.utils.errors import UserError

SMALL = {
    'baselines/c3d': dict(size=32),
    'baselines/i3d_r50': dict(frames=8, size=64),
    'baselines/r2plus1d_r18': dict(frames=8, size=64),
    'baselines/slowfast_r50': dict(frames=32, size=64),
    'baselines/slowonly_r50': dict(frames=8, size=64),
    'baselines/swin_tiny': dict(frames=8, size=64),
    'baselines/tsm_mobilenetv2': dict(frames=4, size=64),
    'early_exit/tsm_online_r18_spread': dict(frames=4, size=64),
    'baselines/tsm_r50': dict(frames=4, size=64),
    'baselines/tsn_r18': dict(frames=4, size=64),
    'baselines/x3d_s': dict(frames=4, size=64),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALL)
@torch.no_grad()
def test_optimised_and_exported_networks_have_the_same_scores(name, tmp_path, monkeypatch):
    """The scores of the exported files are compared by the export itself."""
    options = {f'clip.{part}': value for part, value in SMALL[name].items()}
    network, metadata, clip = dummy_network(read_config(REPOSITORY / f'configs/{name}_ucf50.py', options=options))
    clips = torch.randint(0, 256, (3, *clip.shape[1:]), dtype=torch.uint8)
    lean = optimize_for_inference(network)
    for batch in (3, 1):
        torch.testing.assert_close(lean(clips[:batch]), network(clips[:batch]), rtol=0, atol=1e-4)

    convert, converted = model_export._to_onnx, tmp_path / 'converted.onnx'

    def convert_once(network, file, metadata):  # both formats begin with it, and it takes most of the time
        if not converted.exists():
            convert(network, converted, metadata)
        shutil.copy(converted, file)

    monkeypatch.setattr(model_export, '_to_onnx', convert_once)
    for suffix in ('.onnx', '.xml'):
        calibration = model_export.LabelledClips([clip[0]], None)
        exported = model_export.export(network, metadata, tmp_path / f'network{suffix}', 'fp32', calibration)
        assert exported.provenance['export']['largest_score_difference'] <= 1e-4


def test_networks_of_audio_are_refused():
    with pytest.raises(UserError, match='RecognizerAudio takes more than RGB frames'):
        dummy_network(read_config(REPOSITORY / 'configs/baselines/audio_r18_demo.py'))
