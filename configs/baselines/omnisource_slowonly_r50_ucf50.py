# OmniSource's SlowOnly with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 8 frames, stride 8, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). Every step also
# learns from as many single frames, each from anywhere in a training clip.
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py']

clip = dict(frames=8, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/omnisource/slowonly_r50_8xb16-8x8x1-256e_imagenet-kinetics400-rgb_20230208-61c4be0d.pth'
colours = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
model = dict(
    type='RecognizerOmni',
    backbone=dict(type='OmniResNet'),
    cls_head=dict(type='OmniHead', image_classes=50, video_classes=50, in_channels=2048, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='MIX2d3d', **colours))

decode, resize, _, pack = _base_.common_steps
image_steps = [decode, resize, dict(type='FormatShape', input_format='NCHW'), dict(type='TakeImage'), pack]
image_pipeline = [_base_.reader, dict(type='SampleFrames', clip_len=1), *image_steps]
images = dict(**_base_.clips, subset='train', pipeline=image_pipeline)
image_dataloader = dict(batch_size=16, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=True), dataset=images)
train_cfg = dict(type='VideoAndImageTrainLoop', other_loaders=[image_dataloader])
