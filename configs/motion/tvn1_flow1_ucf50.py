# TVN-1 on the optical flow of UCF50: 8 fields of 200 x 200 pixels, x and y, their means subtracted; no augmentation, no
# pretraining. Stock SampleFrames takes one field of each eighth of the clip: at random in training, the middle one in
# testing (one view). It spans the whole clip, 4.6 s at 25 fps in the median.
_base_ = ['../_base_/flow10_8x200.py', '../_base_/tvn1.py']

clip = dict(frames=8, size=200)
model = dict(backbone=dict(in_channels=2), data_preprocessor=dict(mean=[128], std=[128]))
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=clip['frames'])
rest = [
    dict(type='FrameStoreDecode'),
    dict(type='SubtractMeanFlow'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
read = dict(type='FrameStoreInit', flow=True)
train_dataloader = dict(dataset=dict(pipeline=[read, sampling, *rest]))
val_dataloader = dict(dataset=dict(pipeline=[read, dict(**sampling, test_mode=True), *rest]))
test_dataloader = val_dataloader
