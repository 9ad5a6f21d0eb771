# TSN with ResNet-18 on a few hundred clips by the recipe of tvn1_medium_ssl_ucf50.py, both parts of it at the learning
# rate of tsn_r18_medium_ucf50.py. 8 frames of 200 x 200 pixels: it spans the whole clip, 4.6 s at 25 fps in the median;
# in training a random half or more of it.
_base_ = 'tsn_r18_medium_ucf50.py'

pretraining = dict(config='pretrain_contrastive_ucf50.py', options=dict(train_cfg=dict(max_epochs=10)))
