# A small MSDNet on UCF50, frame by frame, with an exit after each of its 4 blocks of 3 layers: no augmentation, no
# pretraining, trained on the subset fit, so that tools/calibrate.py has a validation. 8 frames of 224 x 224 pixels,
# one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = 'msdnet38_ucf50.py'

model = dict(backbone=dict(arch='msdnet_small'), cls_head=dict(in_channels=[160, 144, 120, 216]))
