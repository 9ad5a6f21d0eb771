# TVN-4 on UCF50 at the input of its release: 8 frames, stride 4, 128 x 128 pixels; no augmentation, no pretraining.
# One clip per video: at random in training, the middle one in testing (one view).
_base_ = ['_base_/released_tvn.py', '_base_/schedule_40e.py']

clip = dict(frames=8, size=128, span=32)
model = dict(backbone=dict(arch='tvn4', num_segments=8), cls_head=dict(in_channels=2048))
