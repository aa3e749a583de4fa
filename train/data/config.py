"""What is read and how it is seen: the config of a run's data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mimic.layered import Strict

Layout = Literal["shards", "mimic", "pairs"]
CropName = Literal["random", "shared", "resized", "center", "whole", "squash"]


_WITHOUT_CHANCE: dict[CropName, CropName] = {
    "random": "center",
    "shared": "center",
    "resized": "whole",
}


class SetConfig(Strict):
    """One data set."""

    url: str = Field(description="a folder or any fsspec address")
    layout: Layout = Field(
        "shards",
        description="shards: what `mimic mine` writes. mimic: the folders that MIMIC published. "
        "pairs: tars of a plain WebDataset with two pictures a sample",
    )
    weight: float | None = Field(
        None,
        gt=0,
        description="its share of every batch, against those of the others; null for all: by size",
    )
    where: str | None = Field(
        None, description="which samples of shards, like: overlap < 0.7 and scale_ratio < 1.5"
    )
    pictures: tuple[str, str] = Field(
        ("view1.jpg", "view2.jpg"),
        description="layout pairs: what follows the key in the names of the two pictures",
    )
    val_share: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="layouts mimic and pairs, which have no splits: held out, whole scenes (mimic) "
        "or whole tars (pairs)",
    )


class ViewsConfig(Strict):
    """How views are cut, turned and swapped; all that lies in pixels follows them."""

    crop: CropName = Field(
        "random",
        description="random: another window for each view, near each other (CroCo). shared: the "
        "same for all. center: in the middle. These three are resized only where the stored view "
        "is smaller, or they would be less than 7/8 of it. resized: a random part, resized (MAE). "
        "whole: the largest part of that shape, in the middle, resized. squash: all of it, "
        "resized; any other changes co-visibility labels, which takes depth (mine with --depth)",
    )
    size: tuple[int, int] = Field((224, 224), description="(width, height) of what comes out")
    scale: tuple[float, float] = Field((0.2, 1.0), description="crop resized: range of its area")
    ratio: tuple[float, float] = Field((3 / 4, 4 / 3), description="crop resized: width to height")
    flip: float = Field(0.0, ge=0, le=1, description="how often all views are mirrored, together")
    swap: float = Field(0.0, ge=0, le=1, description="how often view 1 and view 2 change places")
    patch_size: int | None = Field(
        None, ge=1, description="of the correspondences that come out; null: as stored"
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if min(self.size) < 1:
            raise ValueError(f"size must be at least one pixel each way, not {self.size}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must be a rising range within (0, 1], not {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio must be a rising range above 0, not {self.ratio}")
        return self

    def plain(self) -> ViewsConfig:
        """The same size without chance: how held-out samples are seen."""
        crop = _WITHOUT_CHANCE.get(self.crop, self.crop)
        return self.model_copy(update={"crop": crop, "flip": 0.0, "swap": 0.0})


class ColourConfig(Strict):
    """Colour jitter (CroCo's ranges) and normalisation, on the device."""

    brightness: tuple[float, float] = Field((0.6, 1.4), description="range of the factor")
    contrast: tuple[float, float] = Field((0.6, 1.4), description="range of the factor")
    saturation: tuple[float, float] = Field((0.6, 1.4), description="range of the factor")
    asymmetric: float = Field(
        1.0, ge=0, le=1, description="how often each view has its own factors, not all the same"
    )
    jitter: bool = Field(True, description="false: colours stay")
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="taken away from RGB in [0, 1] (ImageNet's)"
    )
    std: tuple[float, float, float] = Field(
        (0.229, 0.224, 0.225), description="by which it is divided (ImageNet's)"
    )

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("brightness", "contrast", "saturation"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be a rising range from 0 on, not {(low, high)}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, not {self.std}")
        return self


class CacheConfig(Strict):
    """Where shards of an object store are kept on this machine. Decides nothing that is seen."""

    folder: Path | None = Field(None, description="null: below the system's temporary folder")
    limit_gb: float = Field(100.0, gt=0, description="least recently used shards go beyond it")
    verify: bool = Field(
        False,
        description="check the SHA-256 of local shards at first touch (those of an object store "
        "are always checked)",
    )


class DataConfig(Strict):
    """The data of a run."""

    sets: tuple[SetConfig, ...] = Field(min_length=1, description="what is trained on, together")
    where: str | None = Field(None, description="which samples, of every set of layout shards")
    views: ViewsConfig = ViewsConfig()
    colour: ColourConfig = ColourConfig()
    max_bad_share: float = Field(
        0.001, ge=0, le=1, description="unreadable samples, of all; more stop the run; one may be"
    )
    cache: CacheConfig = CacheConfig()

    @model_validator(mode="after")
    def _weights(self) -> Self:
        given = [part.weight is not None for part in self.sets]
        if any(given) and not all(given):
            raise ValueError("give a weight to every data set or to none")
        return self
