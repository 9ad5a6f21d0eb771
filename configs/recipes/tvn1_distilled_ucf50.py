# TVN-1 on UCF50 by the recipe of tvn1_ucf50.py, and taught by three networks that were trained so before it:
# tools/ablate.py configs/recipes/tvn1_ucf50.py --rows full --seeds 0 1 2 --cfg-options train_cfg.max_epochs=40 trains
# them; its other options are those of this training, too. 8 frames of 200 x 200 pixels over the whole clip; in
# training, over a random half or more of it. The teachers cost nothing in testing.
_base_ = 'tvn1_ucf50.py'

model = dict(
    type='DistilledRecognizer2D',
    teachers=[f'work_dirs/ablation_recipes_tvn1_ucf50/recipe/seed{seed}/epoch_40.pth' for seed in range(3)],
    teacher_share=0.7,
    temperature=4.0)
