"""A configuration names its runs, and an error names the key."""

import pytest

from heatcap_trainer.config import ConfigError, ModelConfig, RunConfig, load, parse

INF, NAN = float("inf"), float("nan")
FEW = {"name": "recall", "pairs": 2, "alphabet": 3, "values": 2}  # 48 distinct contexts


def names(table):
    return [run.name for run in parse(table)]


def test_defaults_are_the_reference_setup():
    (run,) = parse({})
    assert run == RunConfig()
    assert (run.model.layers, run.model.heads) == (1, 4)
    assert (run.model.d_model, run.model.d_mlp) == (128, 512)
    assert (run.optimiser.learning_rate, run.optimiser.betas) == (1e-3, (0.9, 0.98))
    assert run.optimiser.loss_dtype == "float64"
    assert not run.model.layer_norm


def test_sweeps_are_grids_side_by_side():
    table = {
        "task": {"fraction": 0.5},
        "sweep": [
            {"p": [19, 23], "seed": {"start": 0, "stop": 2}},
            {"p": 19, "control": "random_labels", "stop.max_steps": 50},
        ],
    }
    assert names(table) == [
        "addition_p19_f0.5_wd1_seed0",
        "addition_p19_f0.5_wd1_seed1",
        "addition_p23_f0.5_wd1_seed0",
        "addition_p23_f0.5_wd1_seed1",
        "addition-random-labels_p19_f0.5_wd1_seed0",
    ]
    assert [run.stop.max_steps for run in parse(table)] == [10_000] * 4 + [50]


def test_a_run_off_the_defaults_says_so_in_its_name_and_parameters():
    (run,) = parse({"sweep": [{"p": 19, "layers": 2, "task": "subtraction", "weight_decay": 0}]})
    assert run.name == "subtraction_p19_f0.7_wd0_layers-2_seed0"
    assert run.parameters["layers"] == 2
    assert run.parameters["weight_decay"] == 0.0


def test_an_axis_of_betas_is_a_list_of_lists():
    runs = parse({"sweep": [{"betas": [[0.9, 0.98], [0.9, 0.99]]}]})
    assert [run.optimiser.betas for run in runs] == [(0.9, 0.98), (0.9, 0.99)]


def test_recall_with_a_tenth_of_its_contexts_is_accepted():
    assert parse({"task": FEW | {"samples": 4}})[0].task.contexts == 48


def test_names_depend_on_the_run_alone():
    one = parse({"sweep": [{"p": 19, "d_model": 64}]})[0]
    many = parse({"sweep": [{"p": [17, 19], "d_model": [32, 64]}]})
    assert one.name in [run.name for run in many]


def test_recall_has_its_keys_as_size():
    (run,) = parse({"task": {"name": "recall", "pairs": 4}})
    assert run.task.size == ("visible_keys", 9)
    assert run.name == "recall_n4_f0.7_wd1_seed0"
    (run,) = parse({"task": {"name": "recall", "pairs": 4, "joined": True}})
    assert run.task.size == ("visible_keys", 5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"task": {"fractoin": 0.5}}, r"task\.fractoin: unknown key; did you mean 'fraction'"),
        ({"optimizer": {}}, r"optimizer: unknown key; did you mean 'optimiser'"),
        ({"task": {"fraction": 1.5}}, r"task\.fraction: expected between 0 and 1, got 1\.5"),
        ({"task": {"p": "19"}}, r"task\.p: expected an integer, got '19'"),
        ({"task": {"p": 19.0}}, r"task\.p: expected an integer, got 19\.0"),
        ({"model": {"causal": 1}}, r"model\.causal: expected true or false, got 1"),
        ({"model": {"layers": 5}}, r"model\.layers: expected 1 to 4, got 5"),
        ({"model": {"heads": 3}}, r"model\.d_model: expected a multiple of model\.heads = 3"),
        ({"model": {"positions": "rotery"}}, r"one of .*, got 'rotery'; did you mean 'rotary'"),
        ({"model": {"d_model": 12, "positions": "rotary"}}, r"'rotary' needs an even .* got 3"),
        ({"optimiser": {"betas": [0.9]}}, r"optimiser\.betas: expected two numbers"),
        ({"optimiser": {"betas": 0.9}}, r"optimiser\.betas: expected a list, got 0\.9"),
        ({"task": 3}, r"task: expected a table, got 3"),
        ({"stop": {"after_onset": INF}}, r"stop\.after_onset: expected a finite number, got inf"),
        ({"optimiser": {"weight_decay": NAN}}, r"optimiser\.weight_decay: .* finite .* got nan"),
        ({"optimiser": {"weight_decay": 10**400}}, r"optimiser\.weight_decay: .* got inf"),
        ({"optimiser": {"betas": [0.9, NAN]}}, r"optimiser\.betas: .* finite number, got nan"),
        (
            {"sweep": [{"weight_decay": [1.0, INF]}]},
            r"sweep 1: optimiser\.weight_decay: .* got inf",
        ),
        (
            {"sweep": [{"betas": [0.9, 0.98]}]},
            r"sweep 1: betas: expected a list of lists.*0\.98\]$",
        ),
        ({"sweep": [{"betas": {"start": 0, "stop": 1}}]}, r"sweep 1: betas: .* list of lists"),
        ({"task": {"name": "recall", "pairs": 9, "alphabet": 8}}, r"task\.alphabet: expected at l"),
        ({"task": FEW}, r"task\.samples: expected at most a tenth of the 48 distinct .* got 4096"),
        ({"task": FEW | {"samples": 5}}, r"task\.samples: .* got 5"),
        ({"task": {"p": 2, "fraction": 0.1}}, r"task\.fraction: .* leaves none"),
        ({"sweep": {"p": 19}}, r"sweep: expected \[\[sweep\]\] blocks"),
        ({"sweep": [{"q": 19}]}, r"sweep 1: q: unknown key"),
        ({"sweep": [{"weightdecay": 1}]}, r"did you mean 'weight_decay'"),
        ({"sweep": [{}, {"p": [19, "x"]}]}, r"sweep 2: task\.p: expected an integer, got 'x'"),
        ({"sweep": [{"p": []}]}, r"sweep 1: p: expected at least one value"),
        ({"sweep": [{"p": {"start": 1}}]}, r"sweep 1: p: expected a range"),
        ({"sweep": [{"p": {"start": 1, "stop": 9, "step": 0}}]}, r"range of integers going up"),
        ({"sweep": [{"p": 19, "heads": [4, 3]}]}, r"sweep 1: model\.d_model: expected a multiple"),
        ({"sweep": [{"p": 19}, {"p": [19, 23]}]}, r"addition_p19_\S+ is described twice"),
    ],
)
def test_an_error_names_the_key(table, message):
    with pytest.raises(ConfigError, match=message):
        parse(table)


def test_a_file_that_is_not_toml_is_named(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("p = [")
    with pytest.raises(ConfigError, match=r"broken\.toml: not a readable TOML file"):
        load(path)
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load(tmp_path / "missing.toml")
    path.write_text("[task]\np = 1\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: task\.p: expected at least 2, got 1"):
        load(path)


def test_softmax_scale_defaults_to_the_width_of_a_head():
    assert ModelConfig().scale == pytest.approx(32**-0.5)
    assert ModelConfig(softmax_scale=0.25).scale == 0.25
