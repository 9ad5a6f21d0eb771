# TVN-1 on a few hundred clips by the recipe of tvn1_medium_ucf50.py (--cfg-options train_cfg.max_epochs=40; it inherits
# 100), but not from scratch: before it, the same command pretrains for 10 epochs on the same clips without their
# labels, by pretrain_contrastive_ucf50.py at the learning rate of the recipe. Such an epoch is four views of each clip,
# so 10 cost almost what 40 of the recipe do. 8 frames of 200 x 200 pixels: it spans the whole clip, 4.6 s at 25 fps in
# the median; in training a random half or more of it.
_base_ = 'tvn1_medium_ucf50.py'

pretraining = dict(
    config='pretrain_contrastive_ucf50.py',
    options=dict(train_cfg=dict(max_epochs=10), optim_wrapper=dict(optimizer=dict(lr=0.03))))
