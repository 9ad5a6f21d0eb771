# TVN-1 on what there is in UCF50 and on what moves: 8 frames, each beside its difference from the next, 16 frames of
# 200 x 200 pixels in all; all else by the recipe of tvn1_ucf50.py. Stock SampleFrames takes 8 pairs of the clip: at
# random in training, from a half of it or more, evenly spread in testing (one view). It spans the whole clip, 4.6 s at
# 25 fps in the median.
_base_ = 'tvn1_ucf50.py'

model = dict(
    backbone=dict(in_channels=6),
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53, 128, 128, 128], std=[58.395, 57.12, 57.375, 58.395, 57.12, 57.375]))
sampling = dict(type='SampleFrames', clip_len=2, frame_interval=1, num_clips=_base_.clip.frames)
resize, *pack = _base_.rest
decode, rest = dict(type='DecordDecode'), [resize, dict(type='RGBWithDifference'), *pack]
train_pipeline = [dict(type='DecordInit'), _base_.of_video, sampling, decode, _base_.of_frames, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), decode, *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
