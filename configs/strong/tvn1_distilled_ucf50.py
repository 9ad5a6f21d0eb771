# TVN-1 on UCF50 by the recipe of tvn1_ucf50.py, and taught by two larger networks of ours that were trained by the same
# recipe on the same clips before it: TSN and TSM with ResNet-18, configs/strong/tsn_r18_ucf50.py and tsm_r18_ucf50.py.
# 8 frames of 200 x 200 pixels: it spans the whole clip, 4.6 s at 25 fps in the median; in training a random half or
# more of it. The teachers see what it sees, and cost nothing in testing.
_base_ = 'tvn1_ucf50.py'

model = dict(
    type='DistilledRecognizer2D',
    teachers=['work_dirs/strong_tsn_r18_ucf50/epoch_100.pth', 'work_dirs/strong_tsm_r18_ucf50/epoch_100.pth'],
    teacher_share=0.7,
    temperature=4.0)
