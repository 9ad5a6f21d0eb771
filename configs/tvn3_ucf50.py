# TVN-3 on UCF50 at the input of its release: 8 frames, stride 2, 160 x 160 pixels; no augmentation, no pretraining.
# One clip per video: at random in training, the middle one in testing (one view).
_base_ = ['_base_/released_tvn.py', '_base_/schedule_40e.py']

clip = dict(frames=8, size=160, span=16)
model = dict(backbone=dict(arch='tvn3', num_segments=8), cls_head=dict(in_channels=2560))
