# OmniSource's SlowOnly with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 8 frames, stride 8, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). It spans 57
# frames, 2.28 s at 25 fps. Every step also learns from as many single frames, each from anywhere in a training clip.
_base_ = ['../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py']

clip = dict(frames=8, size=224)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/omnisource/slowonly_r50_8xb16-8x8x1-256e_imagenet-kinetics400-rgb_20230208-61c4be0d.pth'
colours = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
model = dict(
    type='RecognizerOmni',
    backbone=dict(type='OmniResNet'),
    cls_head=dict(type='OmniHead', image_classes=50, video_classes=50, in_channels=2048, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='MIX2d3d', **colours))

sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=8, num_clips=1)
decode = [dict(type='DecordDecode'), dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False)]
rest = [*decode, dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
image = [*decode, dict(type='FormatShape', input_format='NCHW'), dict(type='TakeImage'), dict(type='PackActionInputs')]
image_pipeline = [dict(type='DecordInit'), dict(type='SampleFrames', clip_len=1), *image]
train_dataloader = dict(dataset=dict(pipeline=[dict(type='DecordInit'), sampling, *rest]))
val_dataloader = dict(dataset=dict(pipeline=[dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]))
test_dataloader = val_dataloader
split = dict(protocol='videowise', fold=0, seed=0)
images = dict(type='UCF50Dataset', data_root='data/ucf50', subset='train', pipeline=image_pipeline, **split)
image_dataloader = dict(batch_size=16, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=True), dataset=images)
train_cfg = dict(type='VideoAndImageTrainLoop', other_loaders=[image_dataloader])
