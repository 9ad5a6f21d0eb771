# UniFormer-S on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 16 frames, stride 4,
# of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py']

clip = dict(frames=16, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037.pth'
backbone = dict(type='UniFormer', depth=[3, 4, 8, 3], embed_dim=[64, 128, 320, 512], head_dim=64, drop_path_rate=0.1)
model = dict(
    type='Recognizer3D',
    backbone=backbone,
    cls_head=dict(type='I3DHead', dropout_ratio=0., num_classes=50, in_channels=512, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[114.75] * 3, std=[57.375] * 3, format_shape='NCTHW'))
