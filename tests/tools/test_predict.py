"""`tools/export.py` and `tools/predict.py`, called as by a user."""

import json
import re

import cv2
import pytest

from tests.deploy.networks import write_checkpoint
from tests.small_experiment import REPOSITORY, call_tool, run_tool
from tests.videos import write_text
from tvn_mmaction.utils.errors import UserError

EXPORT, PREDICT = REPOSITORY / 'tools/export.py', REPOSITORY / 'tools/predict.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('predicted')
    write_checkpoint(folder)
    write_text(folder / 'videos/broken.avi')
    return folder


@pytest.mark.slow
def test_from_checkpoint_to_labels(folder):
    process = run_tool(EXPORT, 'tiny.py', 'epoch_3.pth', '-o', 'made/tiny.onnx', folder=folder)
    assert process.returncode == 0, process.stderr
    assert re.search(
        r'checked on   6 clips of the test\nscores .* by \d\.\de-0[5-9] at most\npredictions  100', process.stdout
    )
    assert re.search(
        r'written      made/tiny.onnx, 0\.\d MB\nnext: python tools/predict.py VIDEO --model', process.stdout
    )
    process = run_tool(PREDICT, 'videos', '--model', 'made/tiny.onnx', '--json', folder=folder)
    assert process.returncode == 1
    predictions = [json.loads(line) for line in process.stdout.splitlines()]  # nothing else is on stdout
    assert len(predictions) == 12 and all(len(prediction['labels']) == 3 for prediction in predictions)
    assert 'skipped: videos/broken.avi cannot be decoded' in process.stderr
    assert '1 of 13 videos were skipped' in process.stderr and 'Traceback' not in process.stderr


def test_patterns_and_folders_are_expanded(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert call_tool(PREDICT, 'videos/[BDF]*', '--model', 'epoch_3.pth') == 0  # folders
    assert len(capsys.readouterr().out.splitlines()) == 12
    assert call_tool(PREDICT, 'videos/*/*g0[12]*.avi', '--model', 'epoch_3.pth', '--topk', '2') == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 6
    assert all(re.fullmatch(r'videos/\S+\.avi +\w+ \d+\.\d%  \w+ \d+\.\d%', line) for line in table)


def test_labels_are_drawn_on_every_frame(folder, monkeypatch):
    monkeypatch.chdir(folder)
    video = next((folder / 'videos/Diving').iterdir())
    assert call_tool(PREDICT, str(video), '--model', 'epoch_3.pth', '--annotate', 'labelled.mp4') == 0
    plain, labelled = cv2.VideoCapture(str(video)), cv2.VideoCapture('labelled.mp4')
    assert plain.get(cv2.CAP_PROP_FRAME_COUNT) == labelled.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    with pytest.raises(UserError, match=r'--annotate labelled\.mp4: videos is 13 videos\. Name one'):
        call_tool(PREDICT, 'videos', '--model', 'epoch_3.pth', '--annotate', 'labelled.mp4')


def test_file_played_live(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    video = next((folder / 'videos/Fencing').iterdir())
    assert call_tool(PREDICT, str(video), '--live', '--model', 'epoch_3.pth', '--annotate', 'live.mp4') == 0
    summary = r'\d+ frames, \d+ dropped, last label \w+ \(\d+\.\d%\), label at most \d+ ms after'
    assert re.search(summary, capsys.readouterr().out)
    assert cv2.VideoCapture(str(folder / 'live.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) > 0
