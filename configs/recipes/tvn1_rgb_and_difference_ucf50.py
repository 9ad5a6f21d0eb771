# TVN-1 on appearance and motion in UCF50: 8 frames over the whole clip, each next to its difference from the next, 16
# frames of 200 x 200 pixels in all; all else by the recipe of tvn1_ucf50.py. Stock SampleFrames takes 8 pairs of the
# clip: at random in training, from a half of it or more, evenly spread in testing (one view).
_base_ = 'tvn1_ucf50.py'

model = dict(
    backbone=dict(in_channels=6),
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53, 128, 128, 128], std=[58.395, 57.12, 57.375, 58.395, 57.12, 57.375]))
pairs = dict(type='SampleFrames', clip_len=2, frame_interval=1, num_clips='${clip.frames}')
resize, *pack = _base_.common_steps
both = [resize, dict(type='RGBWithDifference'), *pack]
train_pipeline = [_base_.reader, _base_.clip_augmentation, pairs, _base_.decode, _base_.frame_augmentation, *both]
test_pipeline = [_base_.reader, dict(**pairs, test_mode=True), _base_.decode, *both]
