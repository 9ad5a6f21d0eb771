"""Types of this package that replace those of MMEngine in a config."""

from mmengine.config import Config

from tvn_mmaction.config.runner_types import name_runner_types


def test_single_metric_of_an_evaluator_becomes_a_list():
    config = Config(dict(test_evaluator=dict(type='Evaluator', metrics=dict(type='AccMetric'))))
    name_runner_types(config)
    assert config.test_evaluator.type == 'BrokenClipEvaluator'
    assert [metric['type'] for metric in config.test_evaluator.metrics] == ['AccMetric', 'ClipScores']
