# TVN-2 on UCF50 at the input of its release: 2 frames, stride 7, 256 x 256 pixels; no augmentation, no pretraining.
# One clip per video: at random in training, the middle one in testing (one view).
_base_ = ['_base_/released_tvn.py', '_base_/schedule_40e.py']

clip = dict(frames=2, size=256, span=14)
model = dict(backbone=dict(arch='tvn2', num_segments=2), cls_head=dict(in_channels=2088))
