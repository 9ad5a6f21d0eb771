# TimeSformer with divided attention over space and time on UCF50, the definition of the mmaction2 wheel: no
# augmentation, no pretraining. 8 frames, stride 32, of 224 x 224 pixels, at random in training, the middle ones in
# testing (one view). Shorter clips are looped.
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py']

clip = dict(frames=8, size=224, span=256)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb_20220815-a4d0d01f.pth'
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='TimeSformer', patch_size=16, norm_cfg=dict(type='LN', eps=1e-6), num_frames=8, img_size=224),
    cls_head=dict(type='TimeSformerHead', num_classes=50, in_channels=768, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, format_shape='NCTHW'))
