# TVN-1 on UCF50: 8 frames of 200 x 200 pixels, no augmentation, no pretraining; train and test see the whole clip.
# Stock SampleFrames cuts the clip into 8 equal parts and takes one frame of each: at random in training, the middle
# one in testing (one view). It spans the whole clip, 4.6 s at 25 fps in the median; frame_interval is inert at test.
_base_ = ['_base_/default_runtime.py', '_base_/ucf50.py', '_base_/tvn1.py', '_base_/schedule_40e.py']

clip = dict(frames=8, size=200)
model = dict(backbone=dict(num_segments=clip['frames']))

sampling = dict(type='SampleFrames', clip_len=1, frame_interval=10, num_clips=clip['frames'])
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
