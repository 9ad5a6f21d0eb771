# TVN-1 from scratch on a few hundred clips, or for a few hundred to a thousand steps: of the recipe of tvn1_ucf50.py
# what pays off that early, as a validation said; the rest only slows the learning down. It keeps random spans, crops
# and flips, label smoothing, weight decay and averaged weights, and has three times the learning rate. 8 frames of
# 200 x 200 pixels: it spans the whole clip, 4.6 s at 25 fps in the median; in training a random half or more of it.
_base_ = 'tvn1_ucf50.py'

augmentation = dict(colour=None, rand_augment=None, erasing=None)
model = dict(
    backbone=dict(drop_path_rate=0), cls_head=dict(dropout_ratio=0.5), data_preprocessor=dict(blending=None))
optim_wrapper = dict(optimizer=dict(lr=0.03))
