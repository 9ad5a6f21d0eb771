"""A folder of videos as phones write them, turned, in HEVC, at 60 frames per second and cut, up to a timeline."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.decoders.cases import CASES
from benchmarks.decoders.marked_videos import encode
from tests.small_experiment import REPOSITORY, run_tool, write_config
from tvn_mmaction.datasets.manifest import read_manifest

PHONE = {
    'turned': ('H.264', 'mp4', 'turned by 90'),
    'hevc': ('HEVC', 'mov', '10 bits turned by 90'),
    'cut': ('HEVC', 'mp4', 'edit list'),
    'variable': ('H.264', 'mp4', 'variable rate'),
}


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('phone') / 'videos'
    for name in ('Jumping', 'Running'):
        (folder / name).mkdir(parents=True)
    for name, kind in PHONE.items():
        (case,) = (case for case in CASES if (case.codec, case.suffix, case.trouble) == kind)
        case.write(folder / 'Jumping' / f'{name}.{case.suffix}')
    encode(folder / 'Running/fast.mp4', 'libx264', range(120), times_ms=[50 * index // 3 for index in range(120)])
    for number in range(3):
        shutil.copy(folder / 'Running/fast.mp4', folder / f'Running/again{number}.mp4')
    return folder


def test_folder_of_phone_videos_is_built_trained_and_labelled(videos):
    folder = videos.parent
    command = ('--protocol', 'videowise', '--out', folder / 'lists')
    built = run_tool(REPOSITORY / 'tools/build_ucf50.py', videos, *command, folder=folder)
    assert built.returncode == 0, built.stderr
    clips = {Path(clip.path).stem: clip for clip in read_manifest(folder / 'lists')}
    assert not any(clip.problem for clip in clips.values())
    assert {name: clips[name].frames for name in PHONE} == {'turned': 40, 'hevc': 40, 'cut': 26, 'variable': 40}
    assert clips['turned'].height > clips['turned'].width  # upright
    assert clips['fast'].frames == 120 and clips['fast'].fps == pytest.approx(60, rel=0.02)
    options = ('--cfg-options', 'split.protocol=videowise', 'train_cfg.max_epochs=1')
    config = write_config(folder, folder / 'lists')
    trained = run_tool(REPOSITORY / 'tools/train.py', config, '--work-dir', folder / 'run', *options, folder=folder)
    assert trained.returncode == 0, trained.stderr
    model = ('--model', folder / 'run/epoch_1.pth', '--every', '0.5s', '--window', '1s', '--json')
    for name, seconds in (('Running/fast.mp4', 2), ('Jumping/cut.mp4', 26 / 25)):
        labelled = run_tool(REPOSITORY / 'tools/predict.py', videos / name, *model, folder=folder)
        assert labelled.returncode == 0, labelled.stderr
        segments = [json.loads(line) for line in labelled.stdout.splitlines()]
        assert segments[0]['start_s'] == 0 and segments[-1]['end_s'] == pytest.approx(seconds, abs=0.1)
        assert {segment['label'] for segment in segments} <= {'Jumping', 'Running'}
