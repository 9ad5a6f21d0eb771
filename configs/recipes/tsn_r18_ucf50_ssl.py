# TSN with ResNet-18 on UCF50 by the recipe of tvn1_ucf50_ssl.py, both parts of it at the learning rate of
# tsn_r18_ucf50.py. 8 frames of 200 x 200 pixels over the whole clip; in training, over a random half or more of it.
_base_ = 'tsn_r18_ucf50.py'

pretraining = dict(
    config='pretrain_contrastive_ucf50.py', options=dict(optim_wrapper=dict(optimizer=dict(lr=0.01))))
