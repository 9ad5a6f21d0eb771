# TVN-1 on UCF50: 8 frames of 200 x 200 pixels over the whole clip, no augmentation, no pretraining.
# One frame of each eighth of the clip: at random in training, the middle one in testing (one view).
_base_ = ['_base_/segments.py', '_base_/schedule_40e.py', '_base_/tvn1.py']

clip = dict(frames=8, size=200, stride=10)
