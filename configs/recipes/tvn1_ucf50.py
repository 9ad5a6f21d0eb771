# TVN-1 on UCF50 from scratch, by the strong recipe: 8 frames of 200 x 200 pixels over the whole clip, in training over
# a random half or more of it. In addition to the plain experiment, configs/tvn1_ucf50.py: augmentation, MixUp and
# CutMix, label smoothing, stronger weight decay, averaged weights, three times its learning rate, 100 epochs; whole
# groups are tested. On a few hundred clips 40 epochs do (--cfg-options train_cfg.max_epochs=40). parts.yaml has the
# options that switch each part off.
_base_ = ['_base_/recipe.py', '../_base_/tvn1.py']

model = dict(cls_head=dict(label_smooth_eps=0.1), data_preprocessor=dict(blending=_base_.blending))
optim_wrapper = dict(optimizer=dict(lr=0.03))
