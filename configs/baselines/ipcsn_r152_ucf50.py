# ip-CSN with ResNet-152 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 32 frames,
# stride 2, of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/ircsn_r152.py']

clip = dict(frames=32, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/recognition/csn/vmz/vmz_ipcsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-d565828d.pth'
model = dict(
    backbone=dict(bottleneck_mode='ip'),
    cls_head=dict(num_classes=50),
    data_preprocessor=dict(mean=[110.2008, 100.63983, 95.99475], std=[58.14765, 56.46975, 55.332195]),
    test_cfg=None)  # its max_testing_views allows one clip a batch
