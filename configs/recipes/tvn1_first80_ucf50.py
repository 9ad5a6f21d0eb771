# TVN-1 by the recipe of tvn1_ucf50.py, but that train and test see the first 80 frames: 8 frames of 200 x 200
# pixels, every 10th from 0 to 70, always the same ones; the last of them again when the video is shorter. It spans 71
# frames, 2.8 s at 25 fps, whatever comes after; fewer frames are further apart (clip.frames=2: 0 and 40). The
# augmentation span, a random part for a clip, is left out: there is only this one.
_base_ = 'tvn1_ucf50.py'

augmentation = dict(span=None)
sampling = dict(type='SampleFirstFrames', clip_len=_base_.clip.frames, frame_interval=10)
init, decode = dict(type='DecordInit'), dict(type='DecordDecode')
train_pipeline = [init, sampling, decode, _base_.of_frames, *_base_.rest]
test_pipeline = [init, sampling, decode, *_base_.rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
