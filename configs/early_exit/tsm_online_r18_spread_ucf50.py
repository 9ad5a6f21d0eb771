# ResNet-18 with the online temporal shift on UCF50 with exits after 2, 4 and 8 frames, in an order whose first frames
# span the clip: no augmentation, no pretraining, trained on the subset fit, so that tools/calibrate.py has a
# validation. 8 frames of 224 x 224 pixels, one from each eighth of the clip, at random in training, the middle one in
# testing (one view).
_base_ = 'tsm_online_r18_ucf50.py'

model = dict(backbone=dict(order='spread'))
