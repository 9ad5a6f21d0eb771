# TVN-1 on UCF50 at the input of its release: 2 frames, stride 4, 224 x 224 pixels; no augmentation, no pretraining.
# One clip per video: at random in training, the middle one in testing (one view).
_base_ = ['_base_/released_tvn.py', '_base_/schedule_40e.py']

clip = dict(frames=2, size=224, span=8)
model = dict(backbone=dict(arch='tvn1', num_segments=2), cls_head=dict(in_channels=2048))
