# TVN-1 with the recipe of tvn1_ucf50.py, but that train and test see the first 80 frames: 8 frames of 200 x 200
# pixels, every 10th from 0 to 70, always the same ones; the last of them again if the video is shorter. Fewer frames
# lie further apart (clip.frames=2: 0 and 40). The augmentation span, a random part for a clip, is left out: there is
# only this one.
_base_ = 'tvn1_ucf50.py'

clip = dict(_delete_=True, frames=8, size=200, span=80)
augmentation = dict(span=None)
sampling = dict(type='SampleFirstFrames', clip_len='${clip.frames}', frame_interval='${clip.stride}')
train_pipeline = [_base_.reader, sampling, _base_.decode, _base_.frame_augmentation, *_base_.common_steps]
test_pipeline = [_base_.reader, sampling, _base_.decode, *_base_.common_steps]
