# MMAction2's audio recogniser, ResNet-18 on log-mel maps, on the sounds of the drawn clips: no augmentation, no
# pretraining, tested on groups it never heard. The sound of 32 neighbouring frames, at random in training, the middle
# ones in testing (one view). It spans 32 frames, 1.28 s at 25 fps: 128 steps of 80 bands.
_base_ = ['../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py']

clip = dict(frames=32)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition_audio/resnet/tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature/tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature_20230702-e4642fb0.pth'
model = dict(
    type='RecognizerAudio',
    backbone=dict(type='ResNet', depth=18, in_channels=1, norm_eval=False),
    cls_head=dict(
        type='TSNAudioHead', num_classes=8, in_channels=512, dropout_ratio=0.5, init_std=0.01, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor'))

sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=1, num_clips=1)
rest = [
    dict(type='AudioFeatureSelector', fixed_length=128),
    dict(type='FormatAudioShape', input_format='NCTF'),
    dict(type='PackActionInputs')
]
split = dict(protocol='group5', fold=0, seed=0)
demo = dict(type='DemoAudioDataset', data_root='data/demo', **split)
train_dataloader = dict(dataset=dict(**demo, pipeline=[dict(type='LoadAudioFeature'), sampling, *rest]))
test_pipeline = [dict(type='LoadAudioFeature'), dict(**sampling, test_mode=True), *rest]
val_dataloader = dict(dataset=dict(**demo, pipeline=test_pipeline))
test_dataloader = val_dataloader
