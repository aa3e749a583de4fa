"""Other projects' layouts: read into shards, or written from them."""

from mimic.interchange.croco import export_croco
from mimic.interchange.mimic_folders import export_mimic, import_mimic

__all__ = ["export_croco", "export_mimic", "import_mimic"]
