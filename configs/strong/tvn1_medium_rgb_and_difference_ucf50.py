# TVN-1 on what there is and on what moves, tvn1_rgb_and_difference_ucf50.py, by the recipe of tvn1_medium_ucf50.py (8
# frames of 200 x 200 pixels, each beside its difference from the next, 16 in all): it spans the whole clip, 4.6 s at 25
# fps in the median; in training a random half or more of it.
_base_ = 'tvn1_rgb_and_difference_ucf50.py'

augmentation = dict(rand_augment=None)
model = dict(backbone=dict(drop_path_rate=0), cls_head=dict(dropout_ratio=0.5))
optim_wrapper = dict(optimizer=dict(lr=0.03))
