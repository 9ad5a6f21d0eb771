# TVN-1 on UCF50 in minutes on a CPU: 2 frames of 112 x 112 pixels over the whole clip, no augmentation, no
# pretraining, 8 epochs. One frame of each half of the clip: at random in training, the middle one in testing (one
# view).
_base_ = 'tvn1_ucf50.py'

clip = dict(frames=2, size=112)
model = dict(backbone=dict(num_segments=2))
train_cfg = dict(max_epochs=8)
