# TVN-1 with the recipe of tvn1_ucf50.py, but on a dense part of the clip: 8 frames, stride 6, of 200 x 200 pixels, at
# random in training, the middle ones in testing (one view); a shorter video is looped. The augmentation span, a random
# part for a clip, is left out: the sampling itself takes one.
_base_ = 'tvn1_ucf50.py'

clip = dict(_delete_=True, frames=8, size=200, span=48)
augmentation = dict(span=None)
sampling = dict(type='SampleFrames', clip_len='${clip.frames}', frame_interval='${clip.stride}', num_clips=1)
train_pipeline = [_base_.reader, sampling, _base_.decode, _base_.frame_augmentation, *_base_.common_steps]
test_pipeline = [_base_.reader, dict(**sampling, test_mode=True), _base_.decode, *_base_.common_steps]
