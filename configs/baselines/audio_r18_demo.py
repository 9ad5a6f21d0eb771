# MMAction2's audio recogniser, ResNet-18 on log-mel maps, on the sounds of the demo clips: no augmentation, no
# pretraining, tested on groups that it never heard. The sound of 32 neighbouring frames, 128 steps of 80 bands, at
# random in training, the middle ones in testing (one view).
_base_ = ['../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py']

data_root = 'data/demo'
clip = dict(frames=32, span=32)
split = dict(protocol='group5', fold=0, seed=0)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition_audio/resnet/tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature/tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature_20230702-e4642fb0.pth'
model = dict(
    type='RecognizerAudio',
    backbone=dict(type='ResNet', depth=18, in_channels=1, norm_eval=False),
    cls_head=dict(
        type='TSNAudioHead', num_classes=8, in_channels=512, dropout_ratio=0.5, init_std=0.01, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor'))
sampling = dict(type='SampleFrames', clip_len='${clip.frames}', frame_interval='${clip.stride}', num_clips=1)
reader = dict(type='LoadAudioFeature')
common_steps = [
    dict(type='AudioFeatureSelector', fixed_length=128),
    dict(type='FormatAudioShape', input_format='NCTF'),
    dict(type='PackActionInputs')
]
train_pipeline = [reader, sampling, *common_steps]
test_pipeline = [reader, dict(**sampling, test_mode=True), *common_steps]
train_dataloader = dict(dataset=dict(type='DemoAudioDataset'))
val_dataloader = dict(dataset=dict(type='DemoAudioDataset'))
test_dataloader = val_dataloader
