"""Selected frames: best frames in temporal order, invalid files, unknown clips."""

import json

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from tvn_mmaction.config.dependencies import upstream_models
from tvn_mmaction.datasets.transforms.selected_frames import SelectedFrames, Selection
from tvn_mmaction.datasets.transforms.standalone_pipeline import dummy_inputs, with_decoder
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import sha256_of

KEY = 'a' * 64
FRAMES, SCORES = [2, 7, 12, 17], [0.1, 0.9, 0.9, 0.5]
CLIP = {'sha256': KEY, 'filename': 'a.avi', 'total_frames': 20, 'start_index': 0}


def selection(**changes) -> Selection:
    fields = dict(method='smart', candidates=4, looks_at_labels=False, config='selector', config_sha256='c')
    fields |= dict(checkpoint_sha256='w', train_list_sha256='t', initial_weights='scratch')
    fields |= dict(seed=None, parameters=5, macs=10)
    return Selection(**fields | {'clips': {KEY: {'frames': FRAMES, 'scores': SCORES}}} | changes)


@pytest.fixture
def file(tmp_path):
    selection().save(tmp_path / 'smart.json')
    return tmp_path / 'smart.json'


def taken(file, **kwargs) -> dict:
    return TRANSFORMS.build({'type': 'SelectedFrames', 'selection': str(file), **kwargs}).transform(dict(CLIP))


@pytest.mark.parametrize(('count', 'best'), [(1, [7]), (2, [7, 12]), (3, [7, 12, 17]), (4, FRAMES)])
@pytest.mark.parametrize('test_mode', [True, False])
def test_best_frames_in_temporal_order(file, count, best, test_mode):
    """For 2D and for 3D networks."""
    flat = taken(file, clip_len=1, num_clips=count, test_mode=test_mode)
    deep = taken(file, clip_len=count)
    assert flat['frame_inds'].tolist() == deep['frame_inds'].tolist() == best
    assert flat['frame_inds'].dtype == np.int32
    assert (flat['clip_len'], flat['num_clips'], deep['clip_len'], deep['num_clips']) == (1, count, count, 1)


def test_all_candidates_are_uniform_sampling(tmp_path):
    """For any scores, and also if a clip has fewer frames than candidates."""
    sampling = dict(clip_len=1, num_clips=4, test_mode=True)
    for total in (3, 20, 101):
        clip = {**CLIP, 'total_frames': total}
        uniform = TRANSFORMS.build({'type': 'SampleFrames', **sampling}).transform(dict(clip))
        clips = {KEY: {'frames': uniform['frame_inds'].tolist(), 'scores': SCORES}}
        selection(clips=clips).save(tmp_path / 'all.json')
        selected = SelectedFrames(selection=str(tmp_path / 'all.json'), **sampling).transform(dict(clip))
        assert {name: np.array(value).tolist() for name, value in uniform.items()} == {
            name: np.array(value).tolist() for name, value in selected.items()
        }


@pytest.mark.parametrize('looks', [True, False])
def test_selection_with_labels_is_warned_of(tmp_path, capsys, looks):
    selection(method='oracle', looks_at_labels=looks).save(tmp_path / 'oracle.json')
    taken(tmp_path / 'oracle.json', clip_len=1, num_clips=2)
    assert ('was selected with the labels' in capsys.readouterr().err.replace('\n', ' ')) == looks


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'sha256': 'b' * 64}, r'lacks a\.avi: it is of other clips, or was interrupted\. Run'),
        ({'sha256': None}, 'clips of a UCF50Dataset only'),
        ({'total_frames': 12}, r'names frame 12 of a\.avi, which has 12'),
    ],
)
def test_unknown_clip(file, changes, message):
    transform = SelectedFrames(selection=str(file), clip_len=1, num_clips=2)
    with pytest.raises(UserError, match=message):
        transform.transform({**CLIP, **changes})


def test_replaced_file_is_refused(file):
    named = dict(clip_len=1, num_clips=2, selection_sha256=sha256_of(file), method='smart')
    assert taken(file, **named)['frame_inds'].tolist() == [7, 12]
    selection(config='other').save(file)
    with pytest.raises(UserError, match=r'smart\.json is not the selection that the config was read with: it was '):
        taken(file, **named)


def test_more_frames_than_candidates_are_refused(file):
    with pytest.raises(UserError, match=r'has 4 candidates .* and the config samples 5 frames. Sample fewer'):
        taken(file, clip_len=5)


@pytest.mark.parametrize(
    ('scores', 'undecided'), [(SCORES, False), ([0.5] * 4, True), ([0.0] * 4, True), ([0.5, 0.5, 0.5, 0.5001], True)]
)
def test_clip_with_equal_scores_is_undecided(scores, undecided):
    made = selection(clips={KEY: {'frames': FRAMES, 'scores': scores}})
    assert made.undecided == [KEY] * undecided
    assert not selection(candidates=1, clips={KEY: {'frames': [2], 'scores': [0.5]}}).undecided


def test_records_of_a_result_read_a_selection_once(file):
    step = dict(type='SelectedFrames', selection=str(file))
    (first,), (again,) = upstream_models([step]), upstream_models([step])
    assert first is again
    selection(macs=99).save(file)
    assert upstream_models([step])[0].macs == 99


@pytest.mark.parametrize('clip', [{}, [1], {'frames': [1], 'scores': [1.0]}, {'frames': FRAMES, 'scores': ['x'] * 4}])
def test_invalid_clip_is_refused(file, clip):
    fields = json.loads(file.read_text())
    file.write_text(json.dumps(fields | {'clips': {KEY: clip}}))
    with pytest.raises(UserError, match='is not a valid selection of frames'):
        Selection.load(file)


def test_pipeline_has_an_input_shape_but_is_not_deployable():
    """New videos have no scores, but the cost of a network does not depend on them."""
    steps = [
        dict(type='DecordInit'),
        dict(
            type='SelectedFrames', selection='none.json', clip_len=1, num_clips=3, selection_sha256='s', method='smart'
        ),
        dict(type='DecordDecode'),
        dict(type='Resize', scale=(16, 12), keep_ratio=False),
        dict(type='FormatShape', input_format='NCHW'),
        dict(type='PackActionInputs'),
    ]
    assert dummy_inputs(steps).shape == (3, 3, 12, 16)
    with pytest.raises(UserError, match=r'of known clips, and of no other video\. Name a config'):
        with_decoder(steps)
