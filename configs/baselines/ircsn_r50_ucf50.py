# ir-CSN with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 32 frames,
# stride 2, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). Its normalisation
# learns too; the published one was frozen, as its first weights allowed.
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/ircsn_r152.py']

clip = dict(frames=32, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/csn/ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb/ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb_20220811-44395bae.pth'
model = dict(
    backbone=dict(depth=50),
    cls_head=dict(num_classes=50),
    test_cfg=None)  # its max_testing_views allows one clip a batch
