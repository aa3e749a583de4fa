"""The config tree: strict keys with a hint, layers in order, and what the fingerprint covers."""

from __future__ import annotations

import pytest

from mimic.config import config_from, load_config
from mimic.layered import ConfigError
from mimic.presets import PRESETS


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("overlap.lw=0.3", "config key overlap.lw is unknown: did you mean overlap.low?"),
        ("ovrlap.low=0.3", "config key ovrlap is unknown: did you mean overlap?"),
        ("overlap.low=0.9", "low (0.9) must be below high (0.85): swap them"),
        ("match.ratio=2", "config match.ratio: Input should be less than 1 (got 2)"),
        ("verify.epipolar_px=null", "overlap.measure support needs epipolar geometry"),
        ("seed", "--set seed: write it as key.subkey=value"),
        ("source.scene_regex=abc", "'abc' has no group"),
        ("source.photos.group_regex='(a'", "is not a regular expression"),
    ],
)
def test_a_wrong_assignment_is_one_sentence(assignment, sentence):
    with pytest.raises(ConfigError) as error:
        load_config(assignments=(assignment,))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_layers_preset_file_overrides_assignments(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("preset: mimic\noverlap: {low: 0.4, high: 0.8}\nseed: 3\n")
    config = load_config(file=file, overrides={"seed": 4}, assignments=("overlap.high=0.7",))
    assert config.preset == "mimic"
    assert config.match.ratio == 0.7  # from the preset
    assert (config.overlap.low, config.overlap.high, config.seed) == (0.4, 0.7, 4)


@pytest.mark.parametrize("text", ["- 1", "a: [", "\x00"])
def test_a_broken_file_names_itself(tmp_path, text):
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(file=file)


def test_a_missing_file_and_an_unknown_preset_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="'mimc' is unknown: use one of default, mimic"):
        load_config(preset="mimc")


def test_how_it_runs_is_not_in_the_fingerprint_and_what_decides_bytes_is():
    base = load_config()
    assert (
        load_config(assignments=("run.cpus=2", "run.lease=9")).fingerprint() == base.fingerprint()
    )
    assert load_config(assignments=("seed=1",)).fingerprint() != base.fingerprint()
    packed = load_config(assignments=("pack.samples_per_shard=7",))
    assert packed.fingerprint() != base.fingerprint()
    assert packed.mining_fingerprint() == base.mining_fingerprint()


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_config_survives_its_own_json(preset):
    config = load_config(preset)
    assert config_from(config.model_dump(mode="json")) == config


def test_the_mimic_preset_has_the_published_constants():
    config = load_config("mimic")
    assert (config.image.resize, config.image.size) == ("squash", 224)
    assert (config.match.ratio, config.filters.min_matches) == (0.7, 11)
    assert (config.verify.homography, config.verify.homography_px) == ("ransac", 5.0)
    assert (config.overlap.low, config.overlap.high, config.overlap.measure) == (0.5, 0.75, "patch")
