"""Clips that are folders of numbered images."""

import shutil

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from tests.videos import write_frames, write_text
from tvn_mmaction.datasets.frame_folder import FrameFolderReader, frame_folder_sha256
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.ucf50 import UCF50Dataset


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    """Also without leading zeros, where names sort otherwise."""
    write_frames(tmp_path / 'clip', 12)
    write_text(tmp_path / 'clip/notes.txt')
    cv2.imwrite(str(tmp_path / 'clip/flow_x_1.jpg'), np.zeros((24, 32), np.uint8))
    with FrameFolderReader(tmp_path / 'clip', fps=10) as reader:
        assert (reader.frame_count, reader.fps) == (12, 10)
        frames = list(reader)
        assert [frame.index for frame in frames] == list(range(12)) and frames[5].time_s == 0.5
        brightness = [frame.pixels.mean() for frame in frames]
        assert np.abs(np.diff(brightness) - 255 / 11).max() < 3
        assert [image.mean() for image in reader.frames([7, 2, 7])] == [brightness[place] for place in (7, 2, 7)]
        assert reader.frames([0])[0].shape == (24, 32, 3) and reader.frames([0])[0].dtype == np.uint8
        with pytest.raises(IndexError, match='frame 12: the folder has 12'):
            reader.frames([12])


def test_colours_are_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / '1.png'), np.full((8, 8, 3), (0, 0, 255), np.uint8))  # red, in OpenCV's order
    assert FrameFolderReader(tmp_path).frames([0])[0][0, 0].tolist() == [255, 0, 0]


def test_broken_folders(tmp_path):
    with pytest.raises(ValueError, match='it holds no numbered image'):
        FrameFolderReader(tmp_path)
    write_frames(tmp_path, 3)
    (tmp_path / 'img_2.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'img_2\.jpg is not an image'):
        list(FrameFolderReader(tmp_path))
    write_frames(tmp_path, 2)
    cv2.imwrite(str(tmp_path / 'img_3.jpg'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r'img_3\.jpg has \(8, 8\) pixels, and other frames have \(24, 32\)'):
        list(FrameFolderReader(tmp_path))
    cv2.imwrite(str(tmp_path / 'right_1.jpg'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="several series of images, 'img_' and 'right_'"):
        FrameFolderReader(tmp_path)


def test_digest_depends_on_the_content_alone(tmp_path):
    write_frames(tmp_path / 'a', 3)
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    assert frame_folder_sha256(tmp_path / 'a') == frame_folder_sha256(tmp_path / 'b')
    shutil.copy(tmp_path / 'b/img_1.jpg', tmp_path / 'b/img_3.jpg')
    assert frame_folder_sha256(tmp_path / 'a') != frame_folder_sha256(tmp_path / 'b')


def test_folders_of_frames_are_built_stored_and_sampled(tmp_path):
    pytest.importorskip('lmdb')
    for name in ('A', 'B'):
        for number in range(1, 4):
            write_frames(tmp_path / f'images/{name}/v_{name}_g{number:02d}_c01', 8)
    write_text(tmp_path / 'images/A/v_A_g02_c01/img_3.jpg')
    build_data_root(tmp_path / 'images', tmp_path / 'root', 'videowise')
    clips = read_manifest(tmp_path / 'root')
    assert [clip.problem for clip in clips if clip.problem] == ['img_3.jpg is not an image']
    assert {(clip.frames, clip.width, clip.height) for clip in clips if not clip.problem} == {(8, 32, 24)}
    build_frames(tmp_path / 'root', 24)
    stored = {}
    for reader in ('ExactVideo', 'FrameStore'):
        pipeline = [dict(type=f'{reader}Init'), dict(type='SampleFrames', clip_len=1, num_clips=8, test_mode=True),
                    dict(type=f'{reader}Decode'), dict(type='Resize', scale=(24, 24), keep_ratio=False)]  # fmt: skip
        with DefaultScope.overwrite_default_scope('mmaction'):
            dataset = UCF50Dataset(str(tmp_path / 'root'), pipeline=pipeline, test_mode=True)
            stored[reader] = np.stack(dataset[0]['imgs']).astype(int)
    assert np.abs(stored['ExactVideo'] - stored['FrameStore']).max() < 8  # JPEG
