# TVN-1 on UCF50 from scratch, by the recipe of tvn1_ucf50.py and more: RandAugment, whose magnitude drifts from the
# first frame to the last, stochastic depth and stronger dropout, all at the learning rate of the plain experiment. 8
# frames of 200 x 200 pixels over the whole clip; in training, over a random half or more of it. On a few hundred
# clips it underfits (configs/README.md); it was not measured on more.
_base_ = 'tvn1_ucf50.py'

augmentation = dict(rand_augment=dict(type='RandAugment', operations=2, magnitude=5, largest_drift=2.5))
model = dict(backbone=dict(drop_path_rate=0.2), cls_head=dict(dropout_ratio=0.8))
optim_wrapper = dict(optimizer=dict(lr=0.01))
