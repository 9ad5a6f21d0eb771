# 8 frames of 200 pixels, one from each eighth of a random half or more of the clip in training, the middle ones of each
# eighth of the whole clip in testing; whole groups are tested.
_base_ = ['runtime.py', '../../_base_/ucf50.py', 'schedule_100e.py', 'augmentation.py', 'blending.py']

split = dict(protocol='ucf101like', fold=0, seed=0)
clip = dict(frames=8, size=200)
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=10, num_clips=clip['frames'])
rest = [
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
order = ['crop', 'flip', 'colour', 'rand_augment', 'erasing']  # the variable augmentation need not have all
of_video = dict(type='Augmentation', order=['span'], span=_base_.augmentation.span)
of_frames = dict(type='Augmentation', order=order, **{name: _base_.augmentation.get(name) for name in order})
train_pipeline = [dict(type='DecordInit'), of_video, sampling, dict(type='DecordDecode'), of_frames, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), dict(type='DecordDecode'), *rest]
train_dataloader = dict(dataset=dict(**split, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**split, pipeline=test_pipeline))
test_dataloader = val_dataloader
