# TVN-1 on UCF50: 8 frames of 200 x 200 pixels, no augmentation, no pretraining; train and test see the first 80 frames.
# It takes every 10th frame, 0 to 70, always the same ones, and repeats the last of them when the video is shorter.
# It spans 71 frames, 2.8 s at 25 fps, whatever comes after.
_base_ = ['_base_/default_runtime.py', '_base_/ucf50.py', '_base_/tvn1.py', '_base_/schedule_40e.py']

clip = dict(frames=8, size=200)
model = dict(backbone=dict(num_segments=clip['frames']))

sampling = dict(type='SampleFirstFrames', clip_len=clip['frames'], frame_interval=10)
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
pipeline = [dict(type='DecordInit'), sampling, *rest]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = val_dataloader
