"""`tools/export.py` and `tools/predict.py`, called as by a user."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.deploy.networks import write_checkpoint
from tests.small_experiment import REPOSITORY, call_tool, run_process, run_tool
from tests.videos import write_film, write_text, write_video
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


def test_label_is_explained_by_heat_maps(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    video = next((folder / 'videos/Diving').iterdir())
    arguments = (str(video), '--model', 'epoch_3.pth', '--explain', 'made/heat.png')
    assert call_tool(PREDICT, *arguments) == 0
    output = capsys.readouterr()
    label = output.out.split()[1]
    assert re.search(rf'written: made/heat\.png, Grad-CAM of {label} \(\d+\.\d%\) by backbone\.blocks\.0', output.err)
    assert cv2.imread('made/heat.png').shape == (32, 64, 3)
    with pytest.raises(UserError, match=r'--layer backbone\.block: the network has no such layer'):
        call_tool(PREDICT, *arguments, '--layer', 'backbone.block')


def test_timeline_of_several_videos(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    film = write_film(folder / 'films/Fête.mp4', [(20, 3), (220, 3)])
    arguments = ('--model', 'epoch_3.pth', '--every', '1s', '--window', '2')
    assert call_tool(PREDICT, str(film), *arguments, '--out', 'made/film.srt', '--annotate', 'film.mp4') == 0
    output = capsys.readouterr()
    assert all(
        re.fullmatch(r'.*Fête\.mp4  0:00:0\d\.\d - 0:00:0\d\.\d  \w+ \d+\.\d%', r) for r in output.out.splitlines()
    )
    assert 'written: made/film.srt' in output.err and 'written: film.mp4, 60 frames, with sound' in output.err
    assert Path('made/film.srt').read_text(encoding='utf-8').startswith('1\n00:00:00,000 --> ')
    write_text(folder / 'films/broken.mp4')
    assert call_tool(PREDICT, 'films', *arguments, '--json', '--smooth', '2', '--out', 'made/films.csv') == 1
    output = capsys.readouterr()
    segments = [json.loads(line) for line in output.out.splitlines()]
    assert segments[0].keys() == {'source', 'start_s', 'end_s', 'label', 'probability'}
    assert (segments[0]['start_s'], segments[-1]['end_s'], segments[0]['source']) == (0, 6, 'films/Fête.mp4')
    assert len(Path('made/films.csv').read_text(encoding='utf-8').splitlines()) == len(segments) + 1
    assert 'incomplete: films/broken.mp4: it does not open as a video' in output.err
    with pytest.raises(UserError, match=r'--out a\.srt: subtitles are of one video, and there are 2'):
        call_tool(PREDICT, 'films', *arguments, '--out', 'a.srt')


def test_interrupted_timeline_keeps_its_segments(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    write_film(folder / 'long.mp4', [(120, 9)], sound=None)

    def interrupted(recognizer, clips, results=[]) -> np.ndarray:  # noqa: B006
        results.append(clips)
        if len(results) == 4:
            raise KeyboardInterrupt
        return np.array([[0.125, 0.125, 0.75]])

    monkeypatch.setattr('tvn_mmaction.deploy.recognizer.VideoRecognizer._probabilities', interrupted)
    with pytest.raises(KeyboardInterrupt):
        call_tool(PREDICT, 'long.mp4', '--model', 'epoch_3.pth', '--every', '1', '--out', 'kept.csv')
    assert Path('kept.csv').read_text().splitlines()[1:] == ['long.mp4,0.0,4.0,Fencing,0.75']
    assert 'Fencing 75.0%' in capsys.readouterr().out


def test_name_that_the_encoding_lacks_is_escaped(folder):
    video = write_video(folder / 'Übung 球.avi')
    for arguments in ((), ('--json',), ('--every', '1')):
        process = run_process(
            PREDICT, video.name, '--model', 'epoch_3.pth', *arguments, folder=folder, PYTHONIOENCODING='ascii'
        )
        assert process.returncode == 0, process.stderr
        assert (r'\u00dcbung \u7403' if arguments == ('--json',) else r'\xdcbung \u7403.avi') in process.stdout


def test_file_played_live(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    video = next((folder / 'videos/Fencing').iterdir())
    assert call_tool(PREDICT, str(video), '--live', '--model', 'epoch_3.pth', '--annotate', 'live.mp4') == 0
    summary = r'\d+ frames, \d+ dropped, last label \w+ \(\d+\.\d%\), label at most \d+ ms after'
    assert re.search(summary, capsys.readouterr().out)
    assert cv2.VideoCapture(str(folder / 'live.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) > 0
