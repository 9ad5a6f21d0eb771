# TSN with ResNet-18 on UCF50, on selected frames: no augmentation, no pretraining; train and test see the same ones.
# 8 frames of 224 x 224 pixels, the best of 16, in order of time (one view). What they are chosen from spans the whole
# clip, 4.6 s at 25 fps in the median. First: tools/select_frames.py, with a selector trained on the same split.
_base_ = '../baselines/tsn_r18_ucf50.py'

selection = 'work_dirs/selection/smart.json'
clip = dict(frames=8, size=224)
sampling = dict(type='SelectedFrames', selection=selection, clip_len=1, num_clips=clip['frames'])
pipeline = [
    dict(type='DecordInit'),
    sampling,
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = val_dataloader
