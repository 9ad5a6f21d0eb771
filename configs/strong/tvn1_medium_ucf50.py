# TVN-1 from scratch on a few hundred clips, for some eight hundred steps (--cfg-options train_cfg.max_epochs=40; it
# inherits 100): the recipe of tvn1_ucf50.py without RandAugment and stochastic depth, with the plain experiment's
# dropout, at three times the learning rate. 8 frames of 200 x 200 pixels: it spans the whole clip, 4.6 s at 25 fps in
# the median; in training a random half or more of it.
_base_ = 'tvn1_ucf50.py'

augmentation = dict(rand_augment=None)
model = dict(backbone=dict(drop_path_rate=0), cls_head=dict(dropout_ratio=0.5))
optim_wrapper = dict(optimizer=dict(lr=0.03))
