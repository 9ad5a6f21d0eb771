# TVN-1 on UCF50 by the recipe of tvn1_ucf50.py, but not from scratch: before it, the same command pretrains for 10
# epochs on the same clips without their labels, here by pretrain_contrastive_ucf50.py, in the folder `pretraining` of
# the work directory. Such an epoch is four views of each clip, so 10 cost what 40 of the recipe do. The option
# pretraining.config names another way, and pretraining=None is tvn1_ucf50.py. 8 frames of 200 x 200 pixels over the
# whole clip; in training, over a random half or more of it.
_base_ = 'tvn1_ucf50.py'

pretraining = dict(config='pretrain_contrastive_ucf50.py')
