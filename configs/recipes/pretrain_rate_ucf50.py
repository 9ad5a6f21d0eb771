# Pretraining of TVN-1 on UCF50 without labels: at which of 4 rates is a clip played? 8 frames of 200 x 200 pixels: each
# frame, each second, fourth or eighth one, at random in training, the middle one in testing; an epoch is every clip at
# every rate. Augmentation as in tvn1_heavy_ucf50.py, 10 epochs at the learning rate of tvn1_ucf50.py.
_base_ = 'tvn1_heavy_ucf50.py'

answers = [1, 2, 4, 8]  # frames from one to the next
augmentation = dict(span=None)
played = dict(type='PlaybackRate', clip_len='${clip.frames}')
train_pipeline = [_base_.reader, played, _base_.decode, _base_.frame_augmentation, *_base_.common_steps]
test_pipeline = [_base_.reader, dict(**played, test_mode=True), _base_.decode, *_base_.common_steps]
train_dataloader = dict(dataset=dict(type='PretextDataset', answers=answers))
val_dataloader = dict(dataset=dict(type='PretextDataset', answers=answers))
test_dataloader = val_dataloader

model = dict(
    cls_head=dict(num_classes=4),
    data_preprocessor=dict(blending=None))  # no answer is true of a blend of two rates
optim_wrapper = dict(optimizer=dict(lr=0.03))
train_cfg = dict(max_epochs=10)
