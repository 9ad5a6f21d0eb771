# X3D-S from scratch on a few hundred clips, by the recipe of tsn_r18_medium_ucf50.py. 13 frames, stride 6, of 160 x 160
# pixels, at random in training, the middle ones in testing (one view). It spans 73 frames, 2.92 s at 25 fps.
_base_ = 'x3d_s_ucf50.py'

augmentation = dict(rand_augment=None)
model = dict(cls_head=dict(dropout_ratio=0.5))
