# TVN-1 from scratch on a few hundred clips, for some four hundred steps (--cfg-options train_cfg.max_epochs=20; it
# inherits 100): the recipe of tvn1_ucf50.py without colour, erasing, MixUp and CutMix. It keeps random spans, crops
# and flips, label smoothing, weight decay, clipping, averaged weights and the learning rate. 8 frames of 200 x 200
# pixels over the whole clip; in training, over a random half or more of it.
_base_ = 'tvn1_ucf50.py'

augmentation = dict(colour=None, erasing=None)
model = dict(data_preprocessor=dict(blending=None))
