# TVN-1 by the recipe of tvn1_ucf50.py, but on a dense part of the clip: 8 frames, stride 6, of 200 x 200 pixels,
# at random in training, the middle ones in testing (one view); a shorter video begins again. It spans 43 frames, 1.72 s
# at 25 fps. The augmentation span, a random part for a clip, is left out: the sampling itself takes one.
_base_ = 'tvn1_ucf50.py'

augmentation = dict(span=None)
sampling = dict(type='SampleFrames', clip_len=_base_.clip.frames, frame_interval=6, num_clips=1)
init, decode = dict(type='DecordInit'), dict(type='DecordDecode')
train_pipeline = [init, sampling, decode, _base_.of_frames, *_base_.rest]
test_pipeline = [init, dict(**sampling, test_mode=True), decode, *_base_.rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
