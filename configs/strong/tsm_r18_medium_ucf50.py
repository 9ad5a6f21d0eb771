# TSM with ResNet-18 from scratch on a few hundred clips, by the recipe of tsn_r18_medium_ucf50.py: 8 frames of 200 x
# 200 pixels (it spans the whole clip, 4.6 s at 25 fps in the median; in training a random half or more of it).
_base_ = 'tsm_r18_ucf50.py'

augmentation = dict(rand_augment=None)
model = dict(cls_head=dict(dropout_ratio=0.5))
